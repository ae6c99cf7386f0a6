import type { Http2Session, Http2Stream, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply } from 'fastify'

// How often a close looks for connections that their clients hold open, once it has waited for them, in milliseconds.
const sweepMs = 100

// How often a server looks for streams and connections that have ended and are still there, in milliseconds.
const defaultPatrolMs = 5_000

// How long a client that does not read one stream has to show that it reads its connection, in milliseconds.
const pingMs = 5_000

// A session whose connection takes nothing more does not get as far as its socket, and one that has ended does not know it any more.
const socketOf = new WeakMap<Http2Session, Socket>()
const sessionSockets = new WeakSet<Socket>()

/**
 * Keeps the HTTP/2 sessions of a server, and ends what Node forgets: streams that their clients have reset without an error before they had
 * read them, and connections whose sessions have ended while their clients do not hang up, or have reset them at the wrong moment. For
 * `app.close()`: on Node 20 and 22 the server waits for idle sessions for ever, and on all versions for clients that do not read, as one that
 * is asleep.
 * @returns what closes them: each ends when the streams that are open in it have ended, and its client has `drainMs` to hang up
 */
export function trackHttp2Sessions ({ server }: Pick<FastifyInstance, 'server'>, patrolMs = defaultPatrolMs): (drainMs: number) => void {
  // With their open streams.
  const sessions = new Map<Http2Session, Set<Http2Stream>>()
  const hadTime = new WeakSet<Http2Session | Http2Stream>()
  let connected: Socket | undefined
  let isClosing = false
  let timer: NodeJS.Timeout | undefined
  // Of a stream that its client has reset without an error, Node waits for what cannot leave any more, and its session with it.
  const cutEnded = (isDue: (ended: Http2Session | Http2Stream) => boolean): void => {
    for (const [session, streams] of sessions) {
      for (const stream of streams) {
        if (stream.closed && isDue(stream)) stream.destroy()
      }
      if (session.destroyed && isDue(session)) socketOf.get(session)!.destroy()
    }
  }
  const sweep = (): void => {
    cutEnded(() => true)
    timer = setTimeout(sweep, sweepMs)
  }
  const patrol = (): void => {
    cutEnded(ended => {
      const isDue = hadTime.has(ended)
      hadTime.add(ended)
      return isDue
    })
    timer = setTimeout(patrol, patrolMs).unref()
  }
  // A session is made, and told of, while its connection is told of, and no longer is the socket to be held.
  const remember = (socket: Socket): void => {
    connected = socket
    queueMicrotask(() => { connected = undefined })
  }
  for (const event of ['connection', 'secureConnection']) server.prependListener(event, remember)
  // A server of HTTP/1.1 never emits it.
  server.on('session', (session: ServerHttp2Session) => {
    const streams = new Set<Http2Stream>()
    sessions.set(session, streams)
    session.on('stream', stream => {
      streams.add(stream)
      stream.once('close', () => streams.delete(stream))
    })
    socketOf.set(session, connected!)
    sessionSockets.add(connected!)
    session.once('close', () => {
      sessions.delete(session)
      if (sessions.size > 0) return
      clearTimeout(timer)
      timer = undefined
    })
    if (isClosing) session.close()
    timer ??= isClosing ? setTimeout(sweep, sweepMs) : setTimeout(patrol, patrolMs).unref()
  })
  return drainMs => {
    isClosing = true
    if (sessions.size === 0) return
    clearTimeout(timer)
    timer = setTimeout(sweep, drainMs)
    for (const session of sessions.keys()) {
      cutUnlessRead(session, drainMs)
      session.close()
    }
  }
}

/** Whether a connection is one of HTTP/2. */
export function isSessionSocket (socket: Socket): boolean {
  return sessionSockets.has(socket)
}

/**
 * Destroys a response. That of HTTP/2 is one of many on its connection, which stays; but where the client does not answer a ping, it
 * reads none of them, and what was written for it would stay in memory as long as it likes.
 */
export function cutResponse ({ raw: response }: FastifyReply): void {
  const session = (response as { stream?: ServerHttp2Stream }).stream?.session
  if (session !== undefined) cutUnlessRead(session, pingMs)
  // Not by a code that says so: Node does not end some connections then whose clients have left.
  response.destroy()
}

function cutUnlessRead (session: Http2Session, ms: number): void {
  if (session.destroyed) return
  const timer = setTimeout(() => { socketOf.get(session)?.destroy() }, ms)
  // Called with an error as well, when the session ends first.
  session.ping(() => { clearTimeout(timer) })
}
