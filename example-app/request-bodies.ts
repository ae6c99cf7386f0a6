import { finished, PassThrough } from 'node:stream'
import type { Readable } from 'node:stream'
import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether bodies may take as long as they like, as long as something arrives. @default false */
    longBody?: boolean
  }
}

export interface RequestBodiesOptions {
  /** For the whole of a body or, on routes with `longBody`, for the next piece of it. @default 60_000 */
  readonly bodyTimeoutMs?: number | undefined
  /** How long a client that has its answer already may go on to send, so that it gets to read the answer. @default 2_000 */
  readonly lingerMs?: number | undefined
}

/**
 * Cuts clients that are slow to send their requests. Node's own `requestTimeout` is one for the whole server, and would cut an upload
 * that takes longer, however fast it is.
 */
export const requestBodies = fastifyPlugin<RequestBodiesOptions>(async (app, { bodyTimeoutMs = 60_000, lingerMs = 2_000 }) => {
  app.addHook('onRequest', async (request, reply) => {
    const { headers, raw } = request
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return
    cutSlowSender(request, bodyTimeoutMs)
    // From now: a request that was destroyed by who read it has none any more.
    const { socket } = raw
    // Node reads the rest of a body that nobody wanted, all of it. To close at once would lose the answer: its client still sends.
    reply.raw.once('finish', () => {
      if (raw.complete) return
      // It may be closed long before it is complete, by who read it.
      setTimeout(() => { if (!raw.complete) socket.destroy() }, lingerMs).unref()
    })
  })
})

function cutSlowSender ({ raw, routeOptions: { config }, log }: FastifyRequest, bodyTimeoutMs: number): void {
  const { socket } = raw
  let seen = socket.bytesRead
  const timer = setInterval(() => {
    if (config.longBody === true && socket.bytesRead > seen && !raw.complete) {
      seen = socket.bytesRead
      return
    }
    stop()
    if (raw.complete) return
    log.info('request took too long to arrive')
    socket.destroy()
  }, bodyTimeoutMs)
  // The connection may bring many requests more.
  const stop = (): void => {
    clearInterval(timer)
    socket.off('close', stop)
  }
  raw.once('close', stop)
  socket.once('close', stop)
}

/** The body of a request as a stream of its own: to destroy that one leaves the connection to the answer. */
export function bodyOf (raw: IncomingMessage): Readable {
  const body = new PassThrough()
  // Whoever reads it is told.
  body.on('error', () => {})
  finished(raw, { writable: false }, error => { if (error != null) body.destroy(error) })
  return raw.pipe(body)
}
