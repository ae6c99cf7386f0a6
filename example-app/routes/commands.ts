import createError from '@fastify/error'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { commandRoute, commandRoutes } from '../../index.js'
import type { InputOf } from '../../index.js'
import { ProcessFiles } from '../contracts.js'
import { processFilesIn } from '../handlers/process-files.js'
import { processOrders } from '../handlers/process-orders.js'
import { ProcessOrders } from '../order-contracts.js'

export const DuplicateOrderError = createError<[string]>('EXAMPLE_ERR_DUPLICATE_ORDER',
  'Order %s is listed twice: an order is paid for once', 400)

/** The commands, their handlers, and the ways to them. */
export const commands: FastifyPluginAsync = async app => {
  app.mediator.addHandler(ProcessFiles, processFilesIn(app.folder))
  app.mediator.addHandler(ProcessOrders, processOrders)

  // A stream that has begun can only say `failed`: a status that must be certain is decided before it, here.
  async function requireKnownFiles (request: FastifyRequest): Promise<void> {
    // The input has been validated by now; where it comes from depends on the method.
    const { fileIds } = (request.method === 'POST' ? request.body : request.query) as InputOf<typeof ProcessFiles>
    for (const fileId of new Set(fileIds)) await app.folder.find(fileId)
  }

  async function requireDistinctOrders (request: FastifyRequest): Promise<void> {
    const { orders } = request.body as InputOf<typeof ProcessOrders>
    const seen = new Set<string>()
    for (const { orderId } of orders) {
      if (seen.has(orderId)) throw new DuplicateOrderError(orderId)
      seen.add(orderId)
    }
  }

  // POST /commands/process-orders, POST /commands/process-files and, for EventSource, GET /commands/process-files?fileIds=a&fileIds=b
  await app.register(commandRoutes, {
    prefix: '/commands',
    commands: [
      { command: ProcessFiles, method: 'GET', preHandler: requireKnownFiles },
      { command: ProcessOrders, preHandler: requireDistinctOrders }
    ]
  })

  // For clients of python-cqrs's FastAPI example: no event names, the type inside the data, `error` for a failure.
  app.route(commandRoute(ProcessFiles, {
    url: '/process-files',
    framing: 'envelope',
    eventNames: { failed: 'error' },
    preHandler: requireKnownFiles
  }))

  // The same as a job: it runs to its end whoever leaves, and is read again at /streams/<its id>.
  app.route(commandRoute(ProcessFiles, {
    url: '/jobs/process-files',
    onDisconnect: 'continue',
    owner: 'public',
    preHandler: requireKnownFiles
  }))
}
