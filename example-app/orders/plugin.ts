import createError from '@fastify/error'
import type { FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { commandRoutes } from '../../index.js'
import type { InputOf } from '../../index.js'
import { orderAnalytics } from './analytics.js'
import { orderAudit } from './audit.js'
import { ProcessOrders } from './contracts.js'
import { orderEmail } from './email.js'
import { orderInventory } from './inventory.js'
import { Journal } from './journal.js'
import { Outbox } from './outbox.js'
import { processOrders } from './process-orders.js'

declare module 'fastify' {
  interface FastifyInstance {
    journal: Journal
    outbox: Outbox
  }
}

export const DuplicateOrderError = createError<[string]>('EXAMPLE_ERR_DUPLICATE_ORDER',
  'Order %s is listed twice: an order is paid for once', 400)

/** Processes orders: `POST /commands/process-orders`, and `GET /orders/journal` for what was done for the last ones, and when. */
export const orders = fastifyPlugin(async app => {
  app.decorate('journal', new Journal())
  app.decorate('outbox', new Outbox())
  app.mediator.addHandler(ProcessOrders, processOrders)

  await app.register(orderAnalytics)
  await app.register(orderAudit)
  await app.register(orderEmail)
  await app.register(orderInventory)

  app.get('/orders/journal', async () => app.journal.entries)

  async function requireDistinctOrders (request: FastifyRequest): Promise<void> {
    const { orders } = request.body as InputOf<typeof ProcessOrders>
    const seen = new Set<string>()
    for (const { orderId } of orders) {
      if (seen.has(orderId)) throw new DuplicateOrderError(orderId)
      seen.add(orderId)
    }
  }

  await app.register(commandRoutes, {
    prefix: '/commands',
    commands: [{ command: ProcessOrders, schema: { summary: 'Processes orders; who leaves stops those that have not begun' }, preHandler: requireDistinctOrders }]
  })
})
