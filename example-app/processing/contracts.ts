import { Type } from '@sinclair/typebox'
import type { Static, TObject } from '@sinclair/typebox'
import { defineCommand, defineEvent } from '../../index.js'

const OperationSchema = Type.Union([Type.Literal('analyze'), Type.Literal('compress'), Type.Literal('validate')], { default: 'analyze' })
export type Operation = Static<typeof OperationSchema>

const Count = Type.Integer({ minimum: 0 })
const Ratio = Type.Number({ description: 'Compressed bytes for each byte of the file; left out where there is none' })

/** What an operation finds out about one file. Which members there are is up to the operation. */
const figures = {
  // analyze
  lines: Type.Optional(Count),
  words: Type.Optional(Count),
  sha256: Type.Optional(Type.String()),
  // compress
  gzipBytes: Type.Optional(Count),
  ratio: Type.Optional(Ratio),
  // validate
  format: Type.Optional(Type.Union([Type.Literal('utf-8'), Type.Literal('json'), Type.Literal('csv')])),
  valid: Type.Optional(Type.Boolean()),
  error: Type.Optional(Type.Object({
    message: Type.String(),
    line: Type.Optional(Type.Integer({ description: 'From 1' })),
    column: Type.Optional(Type.Integer({ description: 'From 1: the character in JSON, the field in CSV' })),
    byteOffset: Type.Optional(Type.Integer({ description: 'From 0: where the bytes are no UTF-8' }))
  }))
}
export type Figures = Static<TObject<typeof figures>>

/** Yield is progress, return is the result, throw is a failure: see process-files.ts. */
export const ProcessFiles = defineCommand({
  name: 'process-files',
  input: Type.Object({
    fileIds: Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { minItems: 1, maxItems: 1_000 }),
    operation: OperationSchema
  }, { additionalProperties: false }),
  progress: Type.Object({
    fileId: Type.String(),
    status: Type.Union([Type.Literal('processing'), Type.Literal('completed')]),
    percent: Type.Integer({ minimum: 0, maximum: 100 }),
    sizeBytes: Count,
    ...figures
  }),
  result: Type.Object({
    operation: OperationSchema,
    processed: Count,
    sizeBytes: Count,
    lines: Type.Optional(Count),
    words: Type.Optional(Count),
    gzipBytes: Type.Optional(Count),
    ratio: Type.Optional(Ratio),
    valid: Type.Optional(Count),
    invalid: Type.Optional(Count)
  })
})

// Three facts about each file, and one handler for each of them: recent-files.ts, analytics.ts, audit.ts.

export const FileOpened = defineEvent({
  name: 'file.opened',
  payload: Type.Object({ fileId: Type.String(), sizeBytes: Count, operation: OperationSchema })
})

export const FileProcessed = defineEvent({
  name: 'file.processed',
  payload: Type.Object({ fileId: Type.String(), sizeBytes: Count, operation: OperationSchema, durationMs: Type.Number() })
})

export const FileClosed = defineEvent({
  name: 'file.closed',
  payload: Type.Object({ fileId: Type.String(), sizeBytes: Count, bytesRead: Count, operation: OperationSchema })
})
