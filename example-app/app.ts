import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { streamingMediator } from '../index.js'
import { analytics } from './events/analytics.js'
import { audit } from './events/audit.js'
import { recentFiles } from './events/recent-files.js'
import { FileFolder } from './file-folder.js'
import { commands } from './routes/commands.js'
import { files } from './routes/files.js'
import { page } from './routes/page.js'

declare module 'fastify' {
  interface FastifyInstance {
    folder: FileFolder
  }
}

export interface AppOptions {
  /** Whose entries are the ids of files. @default the `files` folder beside this file */
  readonly filesDir?: string
  /** @default false */
  readonly logger?: FastifyServerOptions['logger']
}

/** Builds the app, one plugin for each thing it does. It does not listen yet. */
export async function buildApp ({ filesDir = fileURLToPath(new URL('files', import.meta.url)), logger = false }: AppOptions = {}): Promise<FastifyInstance> {
  const app = fastify({ logger })
  app.decorate('folder', new FileFolder(filesDir))
  await app.register(streamingMediator)

  // What happens beside a command.
  await app.register(analytics)
  await app.register(audit)
  await app.register(recentFiles)

  await app.register(commands)
  await app.register(files)
  await app.register(page)
  return app
}
