import type { Http2Session } from 'node:http2'
import type { FastifyInstance } from 'fastify'

/**
 * Keeps the HTTP/2 sessions of a server, for `app.close()`: on Node 20 and 22 the server waits for idle ones for ever.
 * @returns what closes them; each ends when the streams that are open in it have ended
 */
export function trackHttp2Sessions ({ server }: FastifyInstance): () => void {
  const sessions = new Set<Http2Session>()
  // A server of HTTP/1.1 never emits it.
  server.on('session', (session: Http2Session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  return () => { for (const session of sessions) session.close() }
}
