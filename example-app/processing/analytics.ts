import { extname } from 'node:path'
import type { FastifyPluginAsync } from 'fastify'
import { FileProcessed } from './contracts.js'

interface Tally {
  files: number
  bytes: number
}

// Names of files come and go: the map of their extensions must not grow for ever.
const maxExtensions = 100

/** Counts what was processed since the start, and tells it at `GET /analytics`. */
export const analytics: FastifyPluginAsync = async app => {
  const total = { files: 0, bytes: 0, durationMs: 0 }
  const operations = new Map<string, Tally>()
  const extensions = new Map<string, Tally>()

  app.mediator.addEventHandler(FileProcessed, ({ payload: { fileId, sizeBytes, operation, durationMs } }) => {
    total.files++
    total.bytes += sizeBytes
    total.durationMs += durationMs
    count(operations, operation, sizeBytes)
    const extension = extname(fileId).toLowerCase() || '(none)'
    count(extensions, extensions.has(extension) || extensions.size < maxExtensions ? extension : '(other)', sizeBytes)
  })

  app.get('/analytics', async () => ({
    ...total,
    durationMs: Math.round(total.durationMs),
    operations: Object.fromEntries(operations),
    extensions: Object.fromEntries(extensions)
  }))
}

function count (tallies: Map<string, Tally>, key: string, bytes: number): void {
  const tally = tallies.get(key) ?? { files: 0, bytes: 0 }
  tallies.set(key, { files: tally.files + 1, bytes: tally.bytes + bytes })
}
