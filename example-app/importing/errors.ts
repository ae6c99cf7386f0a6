import createError from '@fastify/error'

export const MissingColumnError = createError<[string, string]>('EXAMPLE_ERR_MISSING_COLUMN',
  'The CSV lacks %s: its first line must name the columns %s', 400)

export const RepeatedColumnError = createError<[string]>('EXAMPLE_ERR_REPEATED_COLUMN', 'The CSV has the column %s twice', 400)

export const RowTooLongError = createError<[number, number]>('EXAMPLE_ERR_ROW_TOO_LONG',
  'A row has more than %d bytes, at line %d: the rows behind it were not looked at. Is there a quote that is never closed?', 400)

export const TableEmptiedError = createError('EXAMPLE_ERR_TABLE_EMPTIED', 'The table was emptied during the import', 409)
