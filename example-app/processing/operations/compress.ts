import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Figures } from '../contracts.js'

/** How small gzip makes the file. The compressed bytes are counted, not kept. */
export async function compress (chunks: AsyncIterable<Buffer>): Promise<Figures> {
  let sizeBytes = 0
  let gzipBytes = 0
  await pipeline(
    chunks,
    async function * (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        sizeBytes += chunk.length
        yield chunk
      }
    },
    createGzip(),
    async function (compressed: AsyncIterable<Buffer>) {
      for await (const chunk of compressed) gzipBytes += chunk.length
    }
  )
  return { gzipBytes, ...ratioOf(gzipBytes, sizeBytes) }
}

/** Empty for no bytes, which have no ratio. */
export function ratioOf (gzipBytes: number, sizeBytes: number): { ratio?: number } {
  return sizeBytes === 0 ? {} : { ratio: Number((gzipBytes / sizeBytes).toFixed(4)) }
}
