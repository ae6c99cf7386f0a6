import fastifyPlugin from 'fastify-plugin'
import type { Database } from './database.js'
import { LazyDatabase } from './lazy-database.js'
import { openPglite } from './pglite-database.js'
import { openPostgres } from './postgres-database.js'
import { Room } from './room.js'

declare module 'fastify' {
  interface FastifyInstance {
    database: Database
    room: Room
  }
}

export interface DatabaseOptions {
  /** Of a PostgreSQL server. @default one inside the process, in memory, gone with it */
  readonly url?: string | undefined
  /** How many rows the table of people may have. @default 5_000_000 */
  readonly maxPeople?: number | undefined
}

/** The people that are imported and exported: `GET /people` tells how many there are, `DELETE /people` forgets them. */
export const database = fastifyPlugin<DatabaseOptions>(async (app, { url, maxPeople }) => {
  const database = new LazyDatabase(async () => {
    if (url === undefined) return await openPglite()
    return await openPostgres(url, error => app.log.warn(error, 'a connection to the database was lost'))
  })
  app.decorate('database', database)
  app.decorate('room', new Room(maxPeople))
  app.addHook('onClose', async () => await database.close())

  app.get('/people', async () => {
    const [counted] = await database.query<{ rows: number }>('SELECT count(*)::integer AS rows FROM people')
    return counted
  })
  app.delete('/people', async (_request, reply) => {
    // In the order in which an import locks them: otherwise each could wait for the other.
    await database.transaction(async query => {
      await query('TRUNCATE imports, people RESTART IDENTITY')
      // Behind the lock: who reads people now finds them changed as well.
      await query("SELECT nextval('emptyings')")
    })
    return reply.code(204).send()
  })
})
