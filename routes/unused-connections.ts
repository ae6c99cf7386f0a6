import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import type { ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isSessionSocket } from './http2-sessions.js'

// How often a close looks for connections on which there is nothing more to do, in milliseconds.
const sweepMs = 100

// The answer that a connection waits for. Its own property: a WeakMap costs each request more than all else that is done here.
const dueAnswer = Symbol('fastify-streaming-mediator.due-answer')
type AnsweringSocket = Socket & { [dueAnswer]?: ServerResponse | undefined }

// Of each server, the requests of command routes whose bodies have to arrive before their handlers start.
const awaitingBody = new WeakMap<object, Set<IncomingMessage>>()

/** Tells of a request that has nothing to do before its body is there. */
export function expectBody ({ server: { server }, raw: request }: FastifyRequest): void {
  const requests = awaitingBody.get(server)
  // An app without the plugin has none.
  if (requests === undefined) return
  requests.add(request)
  request.once('close', () => requests.delete(request))
}

/** Tells of a request whose handler has started. */
export function expectNoBody ({ server: { server }, raw: request }: FastifyRequest): void {
  awaitingBody.get(server)!.delete(request)
}

/**
 * Keeps the connections of a server, for `app.close()`: Node waits for those on which a request has not begun, or has not arrived whole,
 * and it stops its timers for them when it closes.
 * @returns what cuts them, once they have had `drainMs`: those on which no answer is due, and those that still send the body of a command
 */
export function trackConnections ({ server }: FastifyInstance): (drainMs: number) => void {
  const connections = new Map<unknown, { readonly socket: Socket, readonly openedAt: number }>()
  const requests = new Set<IncomingMessage>()
  awaitingBody.set(server, requests)
  let closing: { readonly startedAt: number, readonly drainMs: number } | undefined
  let timer: NodeJS.Timeout | undefined
  const isTls = 'setSecureContext' in server

  // Also for those on which another route has given its answer by then: Node would wait for the client, or its keep-alive.
  const sweep = (): void => {
    const { startedAt, drainMs } = closing!
    const before = performance.now() - drainMs
    for (const { socket, openedAt } of connections.values()) {
      if (openedAt <= before && (socket as AnsweringSocket)[dueAnswer] === undefined && !isSessionSocket(socket) && !isUpgraded(socket)) socket.destroy()
    }
    if (startedAt <= before) requests.forEach(cutRequest)
    timer = connections.size > 0 ? setTimeout(sweep, sweepMs) : undefined
  }

  const add = (socket: Socket): void => {
    const key = isTls ? nameOf(socket) : socket
    if (key === undefined) return
    connections.set(key, { socket, openedAt: performance.now() })
    socket.once('close', () => connections.delete(key))
    if (closing !== undefined) timer ??= setTimeout(sweep, sweepMs)
  }
  server.on('connection', add)
  server.on('secureConnection', add)
  server.on('request', ({ httpVersionMajor, socket }: IncomingMessage & { readonly socket: AnsweringSocket }, response: ServerResponse) => {
    if (httpVersionMajor > 1) return
    socket[dueAnswer] = response
    response.once('close', () => { if (socket[dueAnswer] === response) socket[dueAnswer] = undefined })
  })

  return drainMs => {
    closing = { startedAt: performance.now(), drainMs }
    sweep()
  }
}

// A request of HTTP/2 is one of many on its connection.
function cutRequest (request: IncomingMessage): void {
  const { stream } = request as { stream?: ServerHttp2Stream }
  if (stream === undefined) request.destroy()
  else stream.close(constants.NGHTTP2_CANCEL)
}

// What was handed to a WebSocket, or to whatever else it was upgraded to, is not HTTP any more: Node has taken its parser away.
function isUpgraded (socket: Socket): boolean {
  return (socket as { parser?: unknown }).parser === null
}

// A connection of TLS is told of twice, before its handshake and with the socket that its requests know: by its addresses it is known for one,
// unless it has none any more. They take two calls of the system, which a connection without TLS does not need.
function nameOf ({ remoteAddress, remotePort, localAddress }: Socket): string | undefined {
  return remotePort === undefined ? undefined : `${remoteAddress} ${remotePort} ${localAddress}`
}
