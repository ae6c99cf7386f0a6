import { setImmediate } from 'node:timers/promises'
import { ContentError } from './content-error.js'

const byteOrderMark = '\uFEFF'

/** Turns bytes into text piece by piece, without a byte order mark; what comes before the first bad byte too. @throws ContentError */
export async function * decodeUtf8 (chunks: AsyncIterable<Buffer>): AsyncGenerator<string, void, undefined> {
  let offset = 0
  // The begin of a character whose other bytes come with the next chunk: three bytes at most.
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    const bytes = Buffer.concat([rest, chunk])
    const text = decode(bytes) ?? decodeUpToError(bytes)
    yield offset === 0 && text.startsWith(byteOrderMark) ? text.slice(1) : text
    const length = Buffer.byteLength(text)
    offset += length
    rest = bytes.subarray(length)
    if (decode(rest) === undefined) break
  }
  if (rest.length === 0) return
  // Whoever reads the text may find an error before this one: its streams need a turn of the event loop to tell.
  await setImmediate()
  throw new ContentError('bytes that are no UTF-8', { byteOffset: offset })
}

/** The whole characters in some bytes, or undefined where a byte is wrong. */
function decode (bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true })
  } catch {
    return undefined
  }
}

// TextDecoder does not tell where it failed: this halves the bytes until it knows.
function decodeUpToError (bytes: Buffer): string {
  let good = 0
  let bad = bytes.length
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (decode(bytes.subarray(0, middle)) === undefined) bad = middle
    else good = middle
  }
  return decode(bytes.subarray(0, good))!
}
