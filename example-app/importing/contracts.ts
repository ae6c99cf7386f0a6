import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'
import { defineCommand, defineEvent } from '../../index.js'

/** The columns that a CSV must have, in any order and beside others. Each description ends the sentence "it must be …". */
export const PersonSchema = Type.Object({
  email: Type.String({
    format: 'email', maxLength: 254, pattern: '^[A-Za-z0-9]', description: 'an e-mail address that begins with a letter or a digit'
  }),
  name: Type.String({
    // What begins like a formula would be one for whoever opens an export as a spreadsheet. PostgreSQL takes no NUL.
    maxLength: 200,
    pattern: '^(?![=+\\-@\\s])[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F]+$',
    description: 'a text of 1 to 200 characters that does not begin with a space or one of = + - @'
  }),
  country: Type.String({ pattern: '^[A-Z]{2}$', description: 'a code of two capital letters, such as NL' }),
  born: Type.String({ format: 'date', pattern: '^(19|20)', description: 'a date since 1900, such as 1990-12-31' })
})
export type Person = Static<typeof PersonSchema>
export const columns = Object.keys(PersonSchema.properties) as ReadonlyArray<keyof Person>

const Count = Type.Integer({ minimum: 0 })
export const FileId = Type.String({ pattern: '^[0-9a-f]{32}$' })

const figures = {
  /** That are in the table, and were not before. */
  rows: Count,
  duplicates: Count,
  rejected: Count,
  bytes: Count
}

const progress = {
  /** After each thousand rows, and after the last: what has become of all so far. */
  batch: Type.Object({ ...figures, totalBytes: Type.Optional(Count) }),
  /** One row that is not imported. Of the first thousand. */
  rejected: Type.Object({
    line: Type.Integer({ minimum: 1 }), column: Type.Optional(Type.String()), value: Type.Optional(Type.String()), reason: Type.String()
  })
}
export type Rejected = Static<typeof progress.rejected>
export type ImportedBatch = Static<typeof progress.batch>

const result = Type.Object({ ...figures, batches: Count, durationMs: Type.Number() })
export type ImportSummary = Static<typeof result>

/** Imports a CSV that was uploaded before. */
export const ImportPeople = defineCommand({
  name: 'import-people',
  input: Type.Object({ fileId: FileId }, { additionalProperties: false }),
  progress,
  result
})

/** Imports a CSV while it arrives. */
export const ImportCsv = defineCommand({
  name: 'import-csv',
  input: Type.Object({ source: Type.Unsafe<AsyncIterable<Buffer>>({}), totalBytes: Type.Optional(Count) }, { additionalProperties: false }),
  progress,
  result
})

/** A batch has been committed. */
export const RowsImported = defineEvent({
  name: 'rows.imported',
  payload: Type.Object({ importId: Type.String(), rows: Count, duplicates: Count })
})
