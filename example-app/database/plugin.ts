import fastifyPlugin from 'fastify-plugin'
import type { Database } from './database.js'
import { LazyDatabase } from './lazy-database.js'
import { openPglite } from './pglite-database.js'
import { openPostgres } from './postgres-database.js'

declare module 'fastify' {
  interface FastifyInstance {
    database: Database
  }
}

export interface DatabaseOptions {
  /** Of a PostgreSQL server. @default one inside the process, in memory, gone with it */
  readonly url?: string | undefined
}

/** The people that are imported and exported: `GET /people` tells how many there are, `DELETE /people` forgets them. */
export const database = fastifyPlugin<DatabaseOptions>(async (app, { url }) => {
  const database = new LazyDatabase(async () => {
    if (url === undefined) return await openPglite()
    return await openPostgres(url, error => app.log.warn(error, 'a connection to the database was lost'))
  })
  app.decorate('database', database)
  app.addHook('onClose', async () => await database.close())

  app.get('/people', async () => {
    const [counted] = await database.query<{ rows: number }>('SELECT count(*)::integer AS rows FROM people')
    return counted
  })
  app.delete('/people', async (_request, reply) => {
    await database.query('TRUNCATE people, imports RESTART IDENTITY')
    return reply.code(204).send()
  })
})
