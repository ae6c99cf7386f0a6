import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { isSessionSocket } from './http2-sessions.js'

// How often a close looks for connections on which there is nothing more to do, in milliseconds.
const sweepMs = 100

// Requests of command routes whose bodies are read before their handlers.
const received = new WeakSet<IncomingMessage>()

/** Tells of a request that has work to do only once its body is there. */
export function expectBody (request: IncomingMessage): void {
  received.add(request)
}

/**
 * Keeps the connections of a server, for `app.close()`: Node waits for those on which a request has not begun, or has not arrived whole,
 * and it stops its timers for them when it closes.
 * @returns what cuts them: from then on those on which nothing is asked, and after `drainMs` those that still send the body of a command
 */
export function trackConnections ({ server }: FastifyInstance): (drainMs: number) => Promise<void> {
  const connections = new Map<unknown, Socket>()
  const latest = new WeakMap<Socket, ServerResponse>()
  let isClosing = false
  let timer: NodeJS.Timeout | undefined

  const isUnused = (socket: Socket): boolean => {
    const response = latest.get(socket)
    return !isSessionSocket(socket) && !isUpgraded(socket) && (response === undefined || (response.writableFinished && response.req.complete))
  }
  // Whatever it still sends, nobody waits for it.
  const isSlow = (socket: Socket): boolean => {
    const response = latest.get(socket)
    return response !== undefined && !response.req.complete && (response.writableFinished || received.has(response.req))
  }
  const cut = (isCut: (socket: Socket) => boolean): void => {
    for (const socket of connections.values()) if (isCut(socket)) socket.destroy()
  }
  // Also for those on which another route has given its answer by then: Node would wait for the client, or its keep-alive.
  const sweep = (): void => {
    cut(isUnused)
    timer = connections.size > 0 ? setTimeout(sweep, sweepMs) : undefined
  }

  const add = (socket: Socket): void => {
    // A connection of TLS is told of twice: before its handshake, and with the socket that its requests know.
    const key = socket.remotePort === undefined ? socket : `${socket.remoteAddress} ${socket.remotePort}`
    connections.set(key, socket)
    socket.once('close', () => connections.delete(key))
    if (isClosing) timer ??= setTimeout(sweep, sweepMs)
  }
  server.on('connection', add)
  server.on('secureConnection', add)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.httpVersionMajor === 1) latest.set(request.socket, response)
  })

  return async drainMs => {
    isClosing = true
    sweep()
    if (![...connections.values()].some(isSlow)) return
    await new Promise(resolve => setTimeout(resolve, drainMs))
    cut(isSlow)
  }
}

// What was handed to a WebSocket, or to whatever else it was upgraded to, is not HTTP any more: Node has taken its parser away.
function isUpgraded (socket: Socket): boolean {
  return (socket as { parser?: unknown }).parser === null
}
