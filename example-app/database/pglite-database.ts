import { setImmediate } from 'node:timers/promises'
import type { Transaction } from '@electric-sql/pglite'
import type { Database, Query } from './database.js'

/** Opens a PostgreSQL inside this process: in memory, or in a folder. It takes hundreds of MiB, so that its code is loaded here and not before. */
export async function openPglite (folder?: string): Promise<Database> {
  const { PGlite } = await import('@electric-sql/pglite')
  const pglite = new PGlite(folder)
  await pglite.waitReady

  const queryOf = (target: Pick<Transaction, 'query'>): Query => async (sql, parameters = []) => {
    const { rows } = await target.query<any>(sql, [...parameters])
    // It computes on this thread and resolves without a turn of the event loop: a loop of queries would let nothing else run.
    await setImmediate()
    return rows
  }
  return {
    query: queryOf(pglite),
    transaction: async work => await pglite.transaction(async transaction => await work(queryOf(transaction))),
    close: async () => await pglite.close()
  }
}
