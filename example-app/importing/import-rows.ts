import type { HandlerContext } from '../../index.js'
import type { Database, Query } from '../database/database.js'
import type { Room } from '../database/room.js'
import { RowsImported, columns } from './contracts.js'
import type { ImportSummary, ImportedBatch, Person, Rejected } from './contracts.js'
import { TableEmptiedError } from './errors.js'
import { openPeople } from './people-reader.js'

const batchRows = 1_000
// What is told of a file in which everything is wrong.
const maxToldRejections = 1_000

export type ImportProgress = { event: 'batch', data: ImportedBatch } | { event: 'rejected', data: Rejected }

interface ImportSource {
  readonly source: AsyncIterable<Buffer>
  readonly totalBytes?: number | undefined
}

/** Imports the rows of a CSV, a transaction each thousand. What is cancelled or fails leaves whole batches. */
export async function * importRows (
  database: Database, room: Room, { source, totalBytes }: ImportSource, { emit, signal, streamId: importId }: HandlerContext
): AsyncGenerator<ImportProgress, ImportSummary, undefined> {
  const startedAt = performance.now()
  const sums = { rows: 0, duplicates: 0, rejected: 0, bytes: 0 }
  let batches = 0

  const insert = async (batch: readonly Person[]): Promise<void> => {
    if (batch.length === 0) return
    const rows = await database.transaction(async query => await insertBatch(query, room, importId, batch, signal))
    const duplicates = batch.length - rows
    sums.rows += rows
    sums.duplicates += duplicates
    batches++
    emit(RowsImported, { importId, rows, duplicates })
  }
  const progress = (): ImportProgress => ({ event: 'batch', data: { ...sums, ...(totalBytes !== undefined && { totalBytes }) } })

  const leave = room.enter()
  let people: Awaited<ReturnType<typeof openPeople>> | undefined
  try {
    // Before the database, which may have to be loaded: a header that is wrong is told at once.
    people = await openPeople(source, signal)
    await database.transaction(async query => {
      await query("DELETE FROM imports WHERE started_at < now() - interval '1 day'")
      // A key that was used before gives the same id, and the table outlives the process that knew the key.
      await query('INSERT INTO imports (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET rows = 0, started_at = now()', [importId])
    })
    let batch: Person[] = []
    let read = 0
    for await (const { bytes, person, rejected } of people) {
      sums.bytes = bytes
      if (person !== undefined) batch.push(person)
      if (rejected !== undefined && ++sums.rejected <= maxToldRejections) yield { event: 'rejected', data: rejected }
      if (++read % batchRows === 0) {
        await insert(batch)
        batch = []
        yield progress()
      }
    }
    if (read === 0 || read % batchRows > 0) {
      await insert(batch)
      yield progress()
    }
    return { ...sums, batches, durationMs: performance.now() - startedAt }
  } finally {
    leave()
    await people?.return()
  }
}

async function insertBatch (query: Query, room: Room, importId: string, batch: readonly Person[], signal: AbortSignal): Promise<number> {
  signal.throwIfAborted()
  // Whoever asks how many rows of the import are in waits for this lock, and so for the end of the batch.
  const [known] = await query('SELECT rows FROM imports WHERE id = $1 FOR UPDATE', [importId])
  if (known === undefined) throw new TableEmptiedError()
  // Behind that lock, because whoever empties the tables takes them in this order.
  await room.require(query)
  // One array a column: as fast for a thousand rows as for ten, and one statement for all sizes of a batch.
  const [counted] = await query<{ added: number }>(`WITH added AS (
      INSERT INTO people (email, name, country, born)
      SELECT email, name, country, born FROM unnest($1::text[], $2::text[], $3::text[], $4::date[])
        WITH ORDINALITY AS given (email, name, country, born, place) ORDER BY place
      ON CONFLICT (email) DO NOTHING RETURNING 1
    ) SELECT count(*)::integer AS added FROM added`, columns.map(column => batch.map(person => person[column])))
  const { added } = counted!
  await query('UPDATE imports SET rows = rows + $2 WHERE id = $1', [importId, added])
  // Not after the stream has ended, as its client sees it.
  signal.throwIfAborted()
  return added
}
