import type { Readable } from 'node:stream'
import fastifyPlugin from 'fastify-plugin'

export interface SlowReadersOptions {
  /** How long a client may take nothing of a download, in milliseconds. @default 120_000 */
  readonly downloadTimeoutMs?: number | undefined
}

/**
 * Cuts clients that have begun a download and do not read it: each holds a file or a query open. Streams of commands are no downloads, the
 * mediator sees to those.
 */
export const slowReaders = fastifyPlugin<SlowReadersOptions>(async (app, { downloadTimeoutMs = 120_000 }) => {
  app.addHook('onSend', async (request, reply, payload) => {
    if (!reply.hasHeader('content-disposition') || typeof (payload as Readable | null)?.pipe !== 'function') return
    // Node begins anew with each piece that the socket takes, and destroys it where there is none. The next request has its own time.
    reply.raw.setTimeout(downloadTimeoutMs, () => {
      request.log.info('download was not read')
      request.raw.socket.destroy()
    })
  })
})
