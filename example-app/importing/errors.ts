import createError from '@fastify/error'

export const MissingColumnError = createError<[string, string]>('EXAMPLE_ERR_MISSING_COLUMN',
  'The CSV lacks %s: its first line must name the columns %s', 400)

export const RepeatedColumnError = createError<[string]>('EXAMPLE_ERR_REPEATED_COLUMN', 'The CSV has the column %s twice', 400)

export const RowTooLongError = createError<[number, number]>('EXAMPLE_ERR_ROW_TOO_LONG',
  'A row has more than %d bytes, at line %d: the rows behind it were not looked at. Is there a quote that is never closed?', 400)

export const FileTooLargeError = createError<[number]>('EXAMPLE_ERR_FILE_TOO_LARGE', 'A CSV may have %d bytes at most', 413)

export const UnknownUploadError = createError('EXAMPLE_ERR_UNKNOWN_UPLOAD',
  'There is no such upload, or no more: PUT the CSV to /import/files/<an id of 32 hexadecimal digits> first', 404)

export const UploadExistsError = createError('EXAMPLE_ERR_UPLOAD_EXISTS', 'This upload exists: choose another id', 409)

export const TooManyUploadsError = createError('EXAMPLE_ERR_TOO_MANY_UPLOADS', 'Too many uploads wait for their import: come back later', 503)

export const TableEmptiedError = createError('EXAMPLE_ERR_TABLE_EMPTIED', 'The table was emptied during the import', 409)
