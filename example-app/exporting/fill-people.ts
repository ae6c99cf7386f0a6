import type { Handler } from '../../index.js'
import type { Database } from '../database/database.js'
import type { Room } from '../database/room.js'
import type { FillPeople } from './contracts.js'

const batchRows = 5_000

/** Makes people in the database, a batch at a time. */
export function fillPeopleOf (database: Database, room: Room): Handler<typeof FillPeople> {
  return async function * fillPeople ({ rows: totalRows }, { signal }) {
    const startedAt = performance.now()
    const leave = room.enter()
    try {
      // In each e-mail address: no two fills make the same.
      const [fill] = await database.query<{ number: number }>("SELECT nextval('fills')::integer AS number")
      for (let rows = 0; rows < totalRows;) {
        signal.throwIfAborted()
        const from = rows
        const next = Math.min(totalRows, from + batchRows)
        await database.transaction(async query => {
          await room.require(query)
          await query(`INSERT INTO people (email, name, country, born)
          SELECT 'filled' || $1::integer || '.' || n || '@example.com', 'Person ' || n, (ARRAY['NL', 'DE', 'FR', 'PT', 'DK'])[n % 5 + 1], date '1950-01-01' + n % 20000
          FROM generate_series($2::integer + 1, $3::integer) AS n ON CONFLICT (email) DO NOTHING`, [fill!.number, from, next])
        })
        rows = next
        yield { rows, totalRows }
      }
      return { rows: totalRows, durationMs: performance.now() - startedAt }
    } finally {
      leave()
    }
  }
}
