import createError from '@fastify/error'
import type { Database } from '../database/database.js'
import type { Person } from '../importing/contracts.js'

const pageRows = 2_000

export const TableChangedError = createError('EXAMPLE_ERR_TABLE_CHANGED', 'The table was emptied during the export', 409)

const emptied = '(SELECT last_value::integer + is_called::integer FROM emptyings) AS emptied'

export interface PeopleRange {
  readonly rows: number
  /** Those that come later are not read: an export has an end while others import. */
  readonly lastId: number
  /** How often the table has been emptied. Ids begin at 1 again then: those of other people would be among the ones of the range. */
  readonly emptied: number
}

export async function findPeople ({ query }: Database): Promise<PeopleRange> {
  const [range] = await query<PeopleRange>(`SELECT count(*)::integer AS rows, coalesce(max(id), 0) AS "lastId", ${emptied} FROM people`)
  return range!
}

/**
 * Reads people page by page, each where the one before it has ended, and not by a cursor: that would keep a connection, and the embedded
 * database has one for everybody.
 * @throws EXAMPLE_ERR_TABLE_CHANGED instead of an end, so that nobody takes a part for the whole
 */
export async function * peoplePages ({ query }: Database, range: PeopleRange): AsyncGenerator<readonly Person[], void, undefined> {
  for (let after = 0; ;) {
    // With the last id as a second bound, a planner that has no statistics sorts all rows that are left, for each page.
    const found = await query<Person & { id: number }>(
      "SELECT id, email, name, country, to_char(born, 'YYYY-MM-DD') AS born FROM people WHERE id > $1 ORDER BY id LIMIT $2", [after, pageRows])
    const page = found.filter(({ id }) => id <= range.lastId)
    if (page.length === 0) break
    after = page.at(-1)!.id
    yield page
  }
  const [now] = await query<Pick<PeopleRange, 'emptied'>>(`SELECT ${emptied}`)
  if (now!.emptied !== range.emptied) throw new TableChangedError()
}
