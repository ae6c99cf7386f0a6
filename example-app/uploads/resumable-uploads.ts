import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { bodyOf } from '../request-bodies.js'
import { FileName, UploadId } from './contracts.js'
import { UnknownUploadError, UploadLengthError, UploadOffsetError } from './upload-errors.js'
import type { UploadFolder } from './upload-folder.js'
import type { Upload } from './upload.js'

interface Names {
  readonly Params: { readonly uploadId: string }
  readonly Querystring: { readonly name?: string }
}

const params = Type.Object({ uploadId: UploadId })
const querystring = Type.Object({ name: Type.Optional(FileName) })

/**
 * Files that are sent in as many requests as it takes, with the fields of the IETF's draft "Resumable Uploads for HTTP". Other than there,
 * the client makes the id, so that it has it before the first byte is sent: `PATCH` begins an upload that is not known.
 */
export const resumableUploads: FastifyPluginAsync<{ readonly folder: UploadFolder }> = async (app, { folder }) => {
  // Whatever it is: what arrives is not parsed.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))

  app.patch<Names>('/uploads/:uploadId', { schema: { params, querystring }, config: { longBody: true } }, async (request, reply) => {
    const { uploadId } = request.params
    const offset = integerOf(request.headers['upload-offset'])
    if (offset === undefined) throw new UploadLengthError('Upload-Offset must say which byte is the first of this request')
    let upload = await folder.settled(uploadId)
    try {
      if (upload === undefined) {
        if (offset > 0) throw new UploadOffsetError(0, offset)
        const sizeBytes = integerOf(request.headers['upload-length'])
        if (sizeBytes === undefined) throw new UploadLengthError('Upload-Length must say how many bytes the file has')
        upload = folder.begin(uploadId, request.query.name ?? uploadId, sizeBytes)
      }
      const left = upload.sizeBytes! - upload.receivedBytes
      if (offset === upload.receivedBytes && Number(request.headers['content-length'] ?? 0) > left) throw new UploadLengthError(`The request has more than the ${left} bytes that are missing`)
      await folder.append(upload, offset, bodyOf(request.raw))
    } finally {
      // With an error as well: it says where to go on.
      tell(reply, upload)
    }
    return await reply.code(204).send()
  })

  app.head<Names>('/uploads/:uploadId', { schema: { params } }, async (request, reply) => {
    const upload = await folder.settled(request.params.uploadId)
    if (upload === undefined) throw new UnknownUploadError(request.params.uploadId)
    tell(reply, upload)
    return await reply.code(204).send()
  })

  app.delete<Names>('/uploads/:uploadId', { schema: { params } }, async (request, reply) => {
    await folder.giveUp(request.params.uploadId)
    return await reply.code(204).send()
  })
}

function tell (reply: FastifyReply, upload: Upload | undefined): void {
  reply.header('cache-control', 'no-store').header('upload-offset', upload?.receivedBytes ?? 0)
  if (upload !== undefined) reply.header('upload-complete', upload.isComplete ? '?1' : '?0').header('upload-length', upload.sizeBytes)
}

function integerOf (text: string | string[] | undefined): number | undefined {
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
