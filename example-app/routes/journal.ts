import type { FastifyPluginAsync } from 'fastify'

/** `GET /orders/journal` tells what was done for the last orders, and when. */
export const journal: FastifyPluginAsync = async app => {
  app.get('/orders/journal', async () => app.journal.entries)
}
