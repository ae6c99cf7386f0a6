import { Socket } from 'node:net'
import createError from '@fastify/error'
import type { PoolClient } from 'pg'
import type { Database, Query } from './database.js'

const maxConnections = 10
const connectionTimeoutMs = 5_000
const keepAliveMs = 10_000
const closeMs = 1_000
const maxAttempts = 5
// serialization_failure and deadlock_detected: the transaction was rolled back, and may be tried again.
const retryable = new Set(['40001', '40P01'])

export const SilentDatabaseError = createError<[number]>('EXAMPLE_ERR_SILENT_DATABASE', 'The database has said nothing for %d ms', 503)

export interface PostgresOptions {
  /** How long the server may say nothing before a connection counts as lost, in milliseconds; no statement may take longer. @default 30_000 */
  readonly silentMs?: number
}

/** Opens connections to a PostgreSQL server. `onError` is told of those that are lost while nobody uses them. */
export async function openPostgres (url: string, onError: (error: Error) => void, { silentMs = 30_000 }: PostgresOptions = {}): Promise<Database> {
  const { default: { Pool } } = await import('pg')
  const sockets = new Set<Socket>()

  // A network that passes nothing on tells nobody: without a time of its own a statement waits for its answer for ever, and the pool for it.
  // Not as statement_timeout, which poolers such as PgBouncer refuse at the start of a connection.
  function openSocket (): Socket {
    const socket = new Socket()
    socket.setTimeout(silentMs, () => socket.destroy(new SilentDatabaseError(silentMs)))
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    return socket
  }

  const pool = new Pool({
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: connectionTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    stream: openSocket
  })
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
    async close () {
      // What takes longer would keep the process from its end. Also of connections that the pool does not know any more.
      setTimeout(() => { for (const socket of sockets) socket.destroy() }, closeMs).unref()
      await pool.end()
    }
  }
}
