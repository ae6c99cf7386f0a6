import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { commandRoute, commandRoutes } from '../../index.js'
import type { InputOf } from '../../index.js'
import { ProcessFiles } from '../contracts.js'
import { processFilesIn } from '../handlers/process-files.js'

/** The command, its handler, and the three ways to it. */
export const commands: FastifyPluginAsync = async app => {
  app.mediator.addHandler(ProcessFiles, processFilesIn(app.folder))

  // A stream that has begun can only say `failed`: a status that must be certain is decided before it, here.
  async function requireKnownFiles (request: FastifyRequest): Promise<void> {
    // The input has been validated by now; where it comes from depends on the method.
    const { fileIds } = (request.method === 'POST' ? request.body : request.query) as InputOf<typeof ProcessFiles>
    for (const fileId of new Set(fileIds)) await app.folder.find(fileId)
  }

  // POST /commands/process-files and, for EventSource, GET /commands/process-files?fileIds=a&fileIds=b
  await app.register(commandRoutes, {
    prefix: '/commands',
    commands: [{ command: ProcessFiles, method: 'GET', preHandler: requireKnownFiles }]
  })

  // For clients of python-cqrs's FastAPI example: no event names, the type inside the data, `error` for a failure.
  app.route(commandRoute(ProcessFiles, {
    url: '/process-files',
    framing: 'envelope',
    eventNames: { failed: 'error' },
    preHandler: requireKnownFiles
  }))
}
