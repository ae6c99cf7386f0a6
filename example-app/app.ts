import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { MemoryStreamLog, streamRoutes, streamingMediator } from '../index.js'
import type { StreamLog } from '../index.js'
import { orders } from './orders/plugin.js'
import { pages } from './pages.js'
import { processing } from './processing/plugin.js'

export interface AppOptions {
  /** Whose entries are the ids of files. @default the `files` folder beside this file */
  readonly filesDir?: string
  /** Keeps the streams of jobs. @default one in memory, for ten minutes after their end */
  readonly streamLog?: StreamLog
  /** @default false */
  readonly logger?: FastifyServerOptions['logger']
}

/** Builds the app, one plugin for each thing it does. It does not listen yet. */
export async function buildApp ({
  filesDir = fileURLToPath(new URL('files', import.meta.url)),
  streamLog = new MemoryStreamLog({ retainMs: 10 * 60_000 }),
  logger = false
}: AppOptions = {}): Promise<FastifyInstance> {
  // Without a timeout of its own, Fastify waits for ever for the rest of a request.
  const app = fastify({ logger, requestTimeout: 60_000 })
  // For all streams together: the services behind the event handlers do not grow with the number of clients.
  await app.register(streamingMediator, { maxConcurrentEventHandlers: 3, streamLog })
  // Where the streams of jobs are read, resumed and cancelled. Nobody signs in here: whoever has an id may.
  await app.register(streamRoutes, { prefix: '/streams', owner: 'public' })

  await app.register(processing, { filesDir })
  await app.register(orders)
  await app.register(pages)
  return app
}
