import { setTimeout } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import { OrderPaid } from './contracts.js'

// What a store of figures takes to answer.
const storeMs = 20

/** Counts what was paid since the start, and tells it at `GET /orders/analytics`. */
export const orderAnalytics: FastifyPluginAsync = async app => {
  const total = { orders: 0, totalCents: 0, largestCents: 0 }

  app.mediator.addEventHandler(OrderPaid, async ({ payload: { orderId, totalCents } }, { signal }) => {
    await app.journal.record('analytics', orderId, async () => {
      await setTimeout(storeMs, undefined, { signal })
      total.orders++
      total.totalCents += totalCents
      total.largestCents = Math.max(total.largestCents, totalCents)
    })
  })

  app.get('/orders/analytics', async () => total)
}
