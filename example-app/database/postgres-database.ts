import type { PoolClient } from 'pg'
import type { Database, Query } from './database.js'

const maxConnections = 10
const connectionTimeoutMs = 5_000
const maxAttempts = 5
// serialization_failure and deadlock_detected: the transaction was rolled back, and may be tried again.
const retryable = new Set(['40001', '40P01'])

/** Opens connections to a PostgreSQL server. `onError` is told of those that are lost while nobody uses them. */
export async function openPostgres (url: string, onError: (error: Error) => void): Promise<Database> {
  const { default: { Pool } } = await import('pg')
  const pool = new Pool({ connectionString: url, max: maxConnections, connectionTimeoutMillis: connectionTimeoutMs })
  pool.on('error', onError)

  const queryOf = (target: Pick<PoolClient, 'query'>): Query => async (sql, parameters = []) => (await target.query<any>(sql, [...parameters])).rows

  async function attempt<T> (work: (query: Query) => Promise<T>): Promise<T> {
    const client = await pool.connect()
    let lost: Error | undefined
    const onLost = (error: Error): void => { lost = error }
    // The pool listens to those alone that nobody uses. What comes while no statement waits for its answer would end the process.
    client.on('error', onLost)
    try {
      await client.query('BEGIN')
      const value = await work(queryOf(client))
      await client.query('COMMIT')
      return value
    } catch (error) {
      await client.query('ROLLBACK').catch(onLost)
      throw error
    } finally {
      client.off('error', onLost)
      // A connection that was lost, or cannot roll back, is not used again.
      client.release(lost)
    }
  }

  return {
    query: queryOf(pool),
    async transaction (work) {
      for (let attempts = 1; ; attempts++) {
        try {
          return await attempt(work)
        } catch (error) {
          if (attempts === maxAttempts || !retryable.has((error as { code?: string }).code ?? '')) throw error
        }
      }
    },
    close: async () => await pool.end()
  }
}
