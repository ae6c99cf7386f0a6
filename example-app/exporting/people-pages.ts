import type { Database } from '../database/database.js'
import type { Person } from '../importing/contracts.js'

const pageRows = 2_000

export interface PeopleRange {
  readonly rows: number
  /** Those that come later are not read: an export has an end while others import. */
  readonly lastId: number
}

export async function findPeople ({ query }: Database): Promise<PeopleRange> {
  const [range] = await query<PeopleRange>('SELECT count(*)::integer AS rows, coalesce(max(id), 0) AS "lastId" FROM people')
  return range!
}

/**
 * Reads people page by page, each where the one before it has ended, and not by a cursor: that would keep a connection, and the embedded
 * database has one for everybody.
 */
export async function * peoplePages ({ query }: Database, { lastId }: PeopleRange): AsyncGenerator<readonly Person[], void, undefined> {
  for (let after = 0; ;) {
    // With the last id as a second bound, a planner that has no statistics sorts all rows that are left, for each page.
    const found = await query<Person & { id: number }>(
      "SELECT id, email, name, country, to_char(born, 'YYYY-MM-DD') AS born FROM people WHERE id > $1 ORDER BY id LIMIT $2", [after, pageRows])
    const page = found.filter(({ id }) => id <= lastId)
    if (page.length === 0) return
    after = page.at(-1)!.id
    yield page
  }
}
