import type { FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { commandRoute, commandRoutes } from '../../index.js'
import type { InputOf } from '../../index.js'
import { analytics } from './analytics.js'
import { audit } from './audit.js'
import { ProcessFiles } from './contracts.js'
import { FileFolder } from './file-folder.js'
import { processFilesIn } from './process-files.js'
import { recentFiles } from './recent-files.js'

declare module 'fastify' {
  interface FastifyInstance {
    folder: FileFolder
  }
}

export interface ProcessingOptions {
  /** The folder whose entries can be processed. */
  readonly filesDir: string
}

/** Processes the files of a folder: `POST /commands/process-files`, `POST /jobs/process-files`, and `GET /files` for the list of them. */
export const processing = fastifyPlugin<ProcessingOptions>(async (app, { filesDir }) => {
  app.decorate('folder', new FileFolder(filesDir))
  app.mediator.addHandler(ProcessFiles, processFilesIn(app.folder))

  await app.register(analytics)
  await app.register(audit)
  await app.register(recentFiles)

  app.get('/files', async () => await app.folder.list())

  // A stream that has begun can only say `failed`: a status that must be certain is decided before it, here.
  async function requireKnownFiles (request: FastifyRequest): Promise<void> {
    // The input has been validated by now; where it comes from depends on the method.
    const { fileIds } = (request.method === 'POST' ? request.body : request.query) as InputOf<typeof ProcessFiles>
    for (const fileId of new Set(fileIds)) await app.folder.find(fileId)
  }

  // POST /commands/process-files and, for EventSource, GET /commands/process-files?fileIds=a&fileIds=b
  await app.register(commandRoutes, {
    prefix: '/commands',
    commands: [{ command: ProcessFiles, method: 'GET', schema: { summary: 'Reads files and streams how far it is' }, preHandler: requireKnownFiles }]
  })

  // For clients of python-cqrs's FastAPI example: no event names, the type inside the data, `error` for a failure.
  app.route(commandRoute(ProcessFiles, {
    url: '/process-files',
    framing: 'envelope',
    eventNames: { failed: 'error' },
    schema: { summary: 'The same with the type inside of the data, as python-cqrs sends it' },
    preHandler: requireKnownFiles
  }))

  // The same as a job: it runs to its end whoever leaves, and is read again at /streams/<its id>.
  app.route(commandRoute(ProcessFiles, {
    url: '/jobs/process-files',
    onDisconnect: 'continue',
    owner: 'public',
    schema: { summary: 'The same as a job: it goes on whoever leaves, and is read on at /streams/<its id>' },
    preHandler: requireKnownFiles
  }))
})
