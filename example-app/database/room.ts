import createError from '@fastify/error'
import type { Database } from './database.js'

// The database is in memory unless told otherwise.
const maxPeople = 5_000_000

export const TableFullError = createError<[number]>('EXAMPLE_ERR_TABLE_FULL', 'The table has %d rows, and may not have many more: empty it first', 507)

/** Looked at before rows are added, not at each. */
export async function requireRoom ({ query }: Database): Promise<void> {
  const [counted] = await query<{ rows: number }>('SELECT count(*)::integer AS rows FROM people')
  if (counted!.rows >= maxPeople) throw new TableFullError(counted!.rows)
}
