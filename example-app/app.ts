import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { MemoryStreamLog, streamRoutes, streamingMediator } from '../index.js'
import type { StreamLog } from '../index.js'
import { analytics } from './events/analytics.js'
import { audit } from './events/audit.js'
import { orderAnalytics } from './events/order-analytics.js'
import { orderAudit } from './events/order-audit.js'
import { orderEmail } from './events/order-email.js'
import { orderInventory } from './events/order-inventory.js'
import { recentFiles } from './events/recent-files.js'
import { FileFolder } from './file-folder.js'
import { Journal } from './journal.js'
import { Outbox } from './outbox.js'
import { commands } from './routes/commands.js'
import { files } from './routes/files.js'
import { journal } from './routes/journal.js'
import { page } from './routes/page.js'

declare module 'fastify' {
  interface FastifyInstance {
    folder: FileFolder
    journal: Journal
    outbox: Outbox
  }
}

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
  app.decorate('folder', new FileFolder(filesDir))
  app.decorate('journal', new Journal())
  app.decorate('outbox', new Outbox())
  // For all streams together: the services behind the event handlers do not grow with the number of clients.
  await app.register(streamingMediator, { maxConcurrentEventHandlers: 3, streamLog })

  // What happens beside a command: first that of files, then that of orders.
  await app.register(analytics)
  await app.register(audit)
  await app.register(recentFiles)
  await app.register(orderAnalytics)
  await app.register(orderAudit)
  await app.register(orderEmail)
  await app.register(orderInventory)

  await app.register(commands)
  // Where the streams of jobs are read, resumed and cancelled. Nobody signs in here: whoever has an id may.
  await app.register(streamRoutes, { prefix: '/streams', owner: 'public' })
  await app.register(files)
  await app.register(journal)
  await app.register(page)
  return app
}
