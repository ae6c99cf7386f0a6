import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'
import { defineCommand, defineQuery } from '../../index.js'
import { ProcessFiles } from '../processing/contracts.js'
import type { IncomingFile } from './upload-files.js'

// Whoever knows an id may write to its upload: it is made at random, and long enough that nobody guesses it.
export const UploadId = Type.String({ pattern: '^[0-9a-f]{32}$' })
const Bytes = Type.Integer({ minimum: 0 })

/** Shown to people, and never a path. */
export const FileName = Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000-\\u001f\\u007f]+$' })

export const UploadStateSchema = Type.Object({
  uploadId: UploadId,
  state: Type.Union([Type.Literal('unknown'), Type.Literal('incomplete'), Type.Literal('complete'), Type.Literal('given-up')]),
  receivedBytes: Bytes,
  sizeBytes: Type.Optional(Bytes)
})
export type UploadState = Static<typeof UploadStateSchema>

/** Follows uploads until each of them is complete or given up: the newest state of each that has changed, ten times a second at most. */
export const WatchUploads = defineQuery({
  name: 'watch-uploads',
  input: Type.Object({ uploadIds: Type.Array(UploadId, { minItems: 1, maxItems: 256 }) }, { additionalProperties: false }),
  progress: UploadStateSchema,
  result: Type.Object({ complete: Type.Integer(), givenUp: Type.Integer() })
})

/** Takes the files of one request, as they arrive. Its input is the request: there is no JSON for it. */
export const UploadFiles = defineCommand({
  name: 'upload-files',
  input: Type.Object({ files: Type.Unsafe<AsyncIterable<IncomingFile>>({}) }),
  progress: Type.Object({
    name: Type.String(), uploadId: UploadId, state: Type.Union([Type.Literal('incomplete'), Type.Literal('complete')]), receivedBytes: Bytes
  }),
  result: Type.Object({ files: Type.Integer(), sizeBytes: Bytes })
})

/** What `process-files` does, for files that were uploaded: the ids are those of the uploads. */
export const ProcessUploads = defineCommand({
  name: 'process-uploads',
  input: ProcessFiles.input,
  progress: ProcessFiles.progress,
  result: ProcessFiles.result
})
