import { createHash } from 'node:crypto'
import type { Figures } from '../contracts.js'

const newline = 0x0a

/** Lines (a last one needs no line break), words (what stands between ASCII whitespace) and the SHA-256 of any bytes. */
export async function analyze (chunks: AsyncIterable<Buffer>): Promise<Figures> {
  const hash = createHash('sha256')
  let lines = 0
  let words = 0
  let last = newline
  for await (const chunk of chunks) {
    hash.update(chunk)
    for (const byte of chunk) {
      if (last === newline) lines++
      if (isSpace(last) && !isSpace(byte)) words++
      last = byte
    }
  }
  return { lines, words, sha256: hash.digest('hex') }
}

function isSpace (byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}
