import type { FastifyPluginAsync } from 'fastify'
import { OrderConfirmed } from './contracts.js'

/** Sends each customer a confirmation. */
export const orderEmail: FastifyPluginAsync = async app => {
  app.mediator.addEventHandler(OrderConfirmed, async ({ payload: { orderId, email, totalCents } }, { signal }) => {
    await app.journal.record('email', orderId, async () => {
      await app.outbox.send({
        to: email,
        subject: `Your order ${orderId}`,
        text: `Thank you for your order ${orderId}. You have paid ${(totalCents / 100).toFixed(2)} euros.`
      }, { signal })
    })
  })
}
