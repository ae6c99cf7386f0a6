import fastifyPlugin from 'fastify-plugin'

// Enough for what is nearly done. The process has a few seconds more to close what is behind.
const finishMs = 2_000

/**
 * Cuts the connections that are still open a while after all streams have ended. The server waits for each of them, and with it all hooks that
 * remove folders and close the database, however long a client takes to read a download or to send an upload. Registered behind the mediator.
 */
export const closing = fastifyPlugin(async app => {
  let timer: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => { timer = setTimeout(() => app.server.closeAllConnections(), finishMs) })
  app.addHook('onClose', async () => clearTimeout(timer))
})
