import createError from '@fastify/error'
import type { Query } from './database.js'

const maxWriting = 4

export const TableFullError = createError<[number]>('EXAMPLE_ERR_TABLE_FULL', 'The table has %d rows, and may not have many more: empty it first', 507)
export const TooManyWritersError = createError('EXAMPLE_ERR_TOO_MANY_WRITERS', 'Too many imports are on their way: come back later', 503)

/** Bounds the table of people, and how many add to it at once. */
export class Room {
  readonly #maxPeople: number
  #writing = 0

  /** @param maxPeople a bound for the rows, because the database is in memory unless told otherwise */
  constructor (maxPeople = 5_000_000) {
    this.#maxPeople = maxPeople
  }

  /**
   * Lets somebody in who adds rows, and returns what must be called when they leave.
   * @throws EXAMPLE_ERR_TOO_MANY_WRITERS (503)
   */
  enter (): () => void {
    if (this.#writing >= maxWriting) throw new TooManyWritersError()
    this.#writing++
    return () => { this.#writing-- }
  }

  /**
   * Looked at before each batch, in its transaction. Those who write at the same time do not see each other's batch.
   * @throws EXAMPLE_ERR_TABLE_FULL (507)
   */
  async require (query: Query): Promise<void> {
    // Never fewer than there are rows, because ids begin at 1, and found in the index. Rows that were no new ones have used some up.
    const [ids] = await query<{ last: number }>('SELECT coalesce(max(id), 0) AS last FROM people')
    if (ids!.last < this.#maxPeople) return
    const [counted] = await query<{ rows: number }>('SELECT count(*)::integer AS rows FROM people')
    if (counted!.rows >= this.#maxPeople) throw new TableFullError(counted!.rows)
  }
}
