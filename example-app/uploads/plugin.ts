import multipart from '@fastify/multipart'
import { Type } from '@sinclair/typebox'
import createError from '@fastify/error'
import type { FastifyError, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { commandRoute, commandRoutes } from '../../index.js'
import type { InputOf } from '../../index.js'
import { FileFolder } from '../processing/file-folder.js'
import { processFilesIn } from '../processing/process-files.js'
import { bodyOf } from '../request-bodies.js'
import { FileName, ProcessUploads, UploadFiles, WatchUploads } from './contracts.js'
import { resumableUploads } from './resumable-uploads.js'
import { uploadFilesTo } from './upload-files.js'
import type { IncomingFile } from './upload-files.js'
import { UploadFolder } from './upload-folder.js'
import type { UploadOptions } from './upload-folder.js'
import { watchUploadsIn } from './watch-uploads.js'

export const NoFilesError = createError('EXAMPLE_ERR_NO_FILES', 'The request brings no file', 400)

export const MalformedFormError = createError<[string, { cause: unknown }]>('EXAMPLE_ERR_MALFORMED_FORM', 'The form cannot be read: %s', 400)

const maxFiles = 100
const maxFieldBytes = 1_024

/**
 * Takes files: `PATCH /uploads/:uploadId` for pages, which go on after a reload, and `POST /upload-files` for one request with one file or
 * many. `watch-uploads` tells how they stand, and `POST /jobs/process-uploads` processes what is complete.
 */
export const uploads = fastifyPlugin<UploadOptions>(async (app, options) => {
  const folder = new UploadFolder(options)
  await folder.removeAbandoned()
  app.addHook('onClose', async () => await folder.close())
  app.mediator.addHandler(WatchUploads, watchUploadsIn(folder))
  app.mediator.addHandler(UploadFiles, uploadFilesTo(folder))
  const processUploads = processFilesIn(new FileFolder(folder.path))
  app.mediator.addHandler(ProcessUploads, (input, context) => processUploads(input, context))

  await app.register(resumableUploads, { folder })
  await app.register(commandRoutes, { prefix: '/commands', commands: [{ command: WatchUploads, schema: { summary: 'Streams how uploads stand, until all are complete' } }] })

  // By itself, because what it says of content types holds for all routes beside it.
  await app.register(async scope => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
    // The folder limits the length of files, also while they arrive.
    await scope.register(multipart, { limits: { files: maxFiles, fields: maxFiles, fieldSize: maxFieldBytes, fileSize: Infinity } })
    scope.route(commandRoute(UploadFiles, {
      url: '/upload-files',
      config: { longBody: true },
      schema: { summary: 'Takes files and streams what is in them', querystring: Type.Object({ name: Type.Optional(FileName) }) },
      map: request => ({ files: request.isMultipart() ? filesOf(request) : rawFile(request, request.query.name) })
    }))
  })

  async function requireCompleteUploads (request: FastifyRequest): Promise<void> {
    for (const uploadId of (request.body as InputOf<typeof ProcessUploads>).fileIds) folder.requireComplete(uploadId)
  }

  app.route(commandRoute(ProcessUploads, {
    url: '/jobs/process-uploads',
    onDisconnect: 'continue',
    owner: 'public',
    schema: { summary: 'Counts the lines of uploads, and hashes them' },
    preHandler: requireCompleteUploads
  }))
})

async function * filesOf (request: FastifyRequest): AsyncGenerator<IncomingFile, void, undefined> {
  let isEmpty = true
  try {
    for await (const part of request.parts()) {
      if (part.type !== 'file') continue
      isEmpty = false
      yield { name: nameOf(part.filename), body: part.file }
    }
  } catch (error) {
    // What the parser says of a form that it cannot read has no status.
    throw (error as Partial<FastifyError>).statusCode === undefined ? new MalformedFormError((error as Error).message, { cause: error }) : error
  }
  if (isEmpty) throw new NoFilesError()
}

async function * rawFile ({ raw, headers }: Pick<FastifyRequest, 'raw' | 'headers'>, name: string | undefined): AsyncGenerator<IncomingFile, void, undefined> {
  // An empty file has a name at least.
  if (name === undefined && Number(headers['content-length'] ?? 0) === 0 && headers['transfer-encoding'] === undefined) throw new NoFilesError()
  yield { name: name ?? 'upload', body: bodyOf(raw) }
}

// To be shown, and nothing else.
function nameOf (filename: string | undefined): string {
  return (filename ?? '').replaceAll(/\p{Cc}/gu, '').slice(0, 255) || 'upload'
}
