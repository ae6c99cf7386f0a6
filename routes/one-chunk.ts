import type { ServerResponse } from 'node:http'

/**
 * Writes a short ASCII text as one chunk (RFC 9112 §7.1) in one piece. `response.write` hands the socket four pieces, which
 * is most of the work for a text of three characters: with 10,000 streams the heartbeats are all that the process does.
 * Returns false, with nothing written, where `response.write` must do it: HTTP/2 and HTTP/1.0, where something still waits
 * to be written, and where somebody has put a `write` of their own in its place.
 */
export function writeOneChunk (response: ServerResponse, text: string): boolean {
  if (!response.chunkedEncoding || response.socket === null || response.writableLength > 0 || Object.hasOwn(response, 'write')) return false
  response.socket.write(`${text.length.toString(16)}\r\n${text}\r\n`, 'latin1')
  return true
}
