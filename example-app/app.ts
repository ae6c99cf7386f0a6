import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { MemoryStreamLog, streamRoutes, streamingMediator } from '../index.js'
import type { StreamLog } from '../index.js'
import { api } from './api/plugin.js'
import { chat } from './chat/plugin.js'
import type { ChatOptions } from './chat/plugin.js'
import { closing } from './closing.js'
import { database } from './database/plugin.js'
import { downloads } from './downloads/plugin.js'
import { exporting } from './exporting/plugin.js'
import { importing } from './importing/plugin.js'
import { orders } from './orders/plugin.js'
import { pages } from './pages.js'
import { processing } from './processing/plugin.js'
import { problems } from './problems.js'
import { requestBodies } from './request-bodies.js'
import { slowReaders } from './slow-readers.js'
import { tasks } from './tasks/plugin.js'
import type { TasksOptions } from './tasks/plugin.js'
import { uploads as uploadRoutes } from './uploads/plugin.js'
import type { UploadOptions } from './uploads/upload-folder.js'

export interface AppOptions {
  /** Whose entries are the ids of files. @default the `files` folder beside this file */
  readonly filesDir?: string
  /** Of a PostgreSQL server. @default a database inside the process, in memory, loaded when it is needed */
  readonly databaseUrl?: string | undefined
  /** How many rows the table of people may have. @default 5_000_000 */
  readonly maxPeople?: number
  /** Keeps the streams of jobs. @default one in memory, for ten minutes after their end */
  readonly streamLog?: StreamLog
  readonly uploads?: UploadOptions
  /** How long a client may take to send a request, or the next piece of an upload, in milliseconds. @default 60_000 */
  readonly bodyTimeoutMs?: number
  /** How long a client may take nothing of a download, in milliseconds. @default 120_000 */
  readonly downloadTimeoutMs?: number
  /** The model of the chat, and how long it may take. */
  readonly chat?: ChatOptions
  /** The pace of the tasks. */
  readonly tasks?: TasksOptions
  /** @default false */
  readonly logger?: FastifyServerOptions['logger']
}

/** Builds the app, one plugin for each thing it does. It does not listen yet. */
export async function buildApp ({
  filesDir = fileURLToPath(new URL('files', import.meta.url)),
  databaseUrl,
  maxPeople,
  // An import of millions of rows has thousands of frames, and a page that was reloaded reads all of them again.
  streamLog = new MemoryStreamLog({ retainMs: 10 * 60_000, maxEntries: 10_000, maxBytes: 4 * 1_048_576 }),
  uploads = {},
  bodyTimeoutMs,
  downloadTimeoutMs,
  chat: chatOptions = {},
  tasks: tasksOptions = {},
  logger = false
}: AppOptions = {}): Promise<FastifyInstance> {
  const app = fastify({ logger })
  await app.register(problems)
  await app.register(requestBodies, { bodyTimeoutMs })
  await app.register(slowReaders, { downloadTimeoutMs })
  // For all streams together: the services behind the event handlers do not grow with the number of clients.
  await app.register(streamingMediator, { maxConcurrentEventHandlers: 3, streamLog })
  await app.register(closing)
  // Where the streams of jobs are read, resumed and cancelled. Nobody signs in here: whoever has an id may.
  await app.register(streamRoutes, { prefix: '/streams', owner: 'public' })

  await app.register(api)
  await app.register(processing, { filesDir })
  await app.register(uploadRoutes, uploads)
  await app.register(downloads, { filesDir })
  await app.register(orders)
  await app.register(database, { url: databaseUrl, maxPeople })
  await app.register(importing, { database: app.database, room: app.room })
  await app.register(exporting, { database: app.database, room: app.room })
  await app.register(tasks, tasksOptions)
  await app.register(chat, chatOptions)
  await app.register(pages)
  return app
}
