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

/** An open stream, or a session that is to end: Node may keep it after its end. */
interface Watched {
  hasEnded (): boolean
  forget (): void
  hadTime: boolean
}

/**
 * Keeps the HTTP/2 sessions of a server, and ends what Node forgets: streams that their clients have reset without an error before they had
 * read them, and connections whose sessions have ended while their clients do not hang up, or have reset them at the wrong moment. For
 * `app.close()`: on Node 20 and 22 the server waits for idle sessions for ever, and on all versions for clients that do not read, as one that
 * is asleep.
 * @returns what closes them: each ends when the streams that are open in it have ended, and its client has `drainMs` to hang up
 */
export function trackHttp2Sessions ({ server }: Pick<FastifyInstance, 'server'>, patrolMs = defaultPatrolMs): (drainMs: number) => void {
  // With what begins to watch them.
  const sessions = new Map<Http2Session, () => void>()
  const watched = new Map<Http2Session | Http2Stream, Watched>()
  let connected: Socket | undefined
  let isClosing = false
  let timer: NodeJS.Timeout | undefined
  const patrol = (): void => {
    for (const each of watched.values()) {
      if (!each.hasEnded()) continue
      if (isClosing || each.hadTime) each.forget()
      each.hadTime = true
    }
    timer = isClosing ? setTimeout(patrol, sweepMs) : setTimeout(patrol, patrolMs).unref()
  }
  const watch = (what: Http2Session | Http2Stream, each: Watched): void => {
    if (watched.has(what)) return
    watched.set(what, each)
    timer ??= setTimeout(patrol, isClosing ? sweepMs : patrolMs).unref()
    what.once('close', () => {
      watched.delete(what)
      if (watched.size > 0) return
      clearTimeout(timer)
      timer = undefined
    })
  }
  // A session is made, and told of, while its connection is told of, and no longer is the socket to be held.
  const remember = (socket: Socket): void => {
    connected = socket
    queueMicrotask(() => { connected = undefined })
  }
  for (const event of ['connection', 'secureConnection']) server.prependListener(event, remember)
  // A server of HTTP/1.1 never emits it.
  server.on('session', (session: ServerHttp2Session) => {
    const socket = connected!
    socketOf.set(session, socket)
    sessionSockets.add(socket)
    session.once('close', () => sessions.delete(session))
    // A client that has reset a stream without an error leaves in it what cannot leave any more.
    session.on('stream', stream => watch(stream, { hasEnded: () => stream.closed, forget: () => stream.destroy(), hadTime: false }))
    const watchSession = (): void => watch(session, { hasEnded: () => session.destroyed, forget: () => socket.destroy(), hadTime: false })
    // The last word of its client, and that of Fastify's `http2SessionTimeout`.
    session.on('goaway', watchSession).on('timeout', watchSession)
    sessions.set(session, watchSession)
    if (!isClosing) return
    watchSession()
    session.close()
  })
  return drainMs => {
    isClosing = true
    if (sessions.size === 0) return
    for (const [session, watchSession] of sessions) {
      watchSession()
      cutUnlessRead(session, drainMs)
      session.close()
    }
    clearTimeout(timer)
    timer = setTimeout(patrol, drainMs)
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
