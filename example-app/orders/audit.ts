import { setTimeout } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import { OrderProcessed } from './contracts.js'

// What an archive takes to answer.
const archiveMs = 10

/** Logs each order, without its customer. The logger of an event carries the stream's id, so that the request can be found. */
export const orderAudit: FastifyPluginAsync = async app => {
  app.mediator.addEventHandler(OrderProcessed, async ({ payload }, { log, signal }) => {
    await app.journal.record('audit', payload.orderId, async () => {
      await setTimeout(archiveMs, undefined, { signal })
      log.info({ audit: payload }, 'order was processed')
    })
  })
}
