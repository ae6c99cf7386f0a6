import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'

const listenersOf = new WeakMap<Socket, Set<() => void>>()

/** Whether the client has left already, so that no event will tell of it any more. */
export function hasClientClosed ({ raw: request }: FastifyRequest, { raw: response }: FastifyReply): boolean {
  if (response.closed || response.destroyed || request.socket.destroyed) return true
  // The response of HTTP/2 has neither of these flags; its stream does.
  return (response as { stream?: { destroyed: boolean } }).stream?.destroyed ?? false
}

/** Whether the client has the whole of an answer, whoever gave it. */
export function hasAnswer ({ raw: { headersSent, writableFinished } }: FastifyReply): boolean {
  return headersSent && writableFinished
}

/**
 * Calls back when the client leaves or the response has been sent, perhaps twice.
 * @returns what takes the listener away
 */
export function onClientClosed (request: FastifyRequest, { raw: response }: FastifyReply, listener: () => void): () => void {
  response.on('close', listener)
  // A response that waits behind another on its connection (HTTP/1.1 pipelining) has no socket yet and never emits `close`.
  const listeners = response.socket === null ? socketListeners(request.raw.socket) : undefined
  listeners?.add(listener)
  return () => {
    response.off('close', listener)
    listeners?.delete(listener)
  }
}

// One listener a socket, however many requests are pipelined on it.
function socketListeners (socket: Socket): Set<() => void> {
  const known = listenersOf.get(socket)
  if (known !== undefined) return known
  const listeners = new Set<() => void>()
  listenersOf.set(socket, listeners)
  socket.on('close', () => { for (const listener of listeners) listener() })
  return listeners
}
