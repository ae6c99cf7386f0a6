import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'

// In characters. For longer ones the pieces are no longer most of the work, and it would fill the socket's buffer without waiting for a drain.
const maxLength = 4_096

/**
 * Writes a short ASCII text as one chunk (RFC 9112 §7.1) in one piece. `response.write` hands the socket four pieces, which is most of
 * the work for a heartbeat of three characters and a fifth of that for a frame.
 * Returns false, with nothing written, where `response.write` must do it: for long texts, HTTP/2 and HTTP/1.0, without a socket (Fastify's
 * `inject` keeps what is written to the response), where something still waits to be written, and where somebody has put a `write` of
 * their own in its place.
 */
export function writeOneChunk (response: ServerResponse, text: string): boolean {
  if (text.length > maxLength || !response.chunkedEncoding || response.writableLength > 0) return false
  if (!(response.socket instanceof Socket) || Object.hasOwn(response, 'write')) return false
  response.socket.write(`${text.length.toString(16)}\r\n${text}\r\n`, 'latin1')
  return true
}
