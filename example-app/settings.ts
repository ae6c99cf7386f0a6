import { availableParallelism } from 'node:os'

/** What the environment says about this run. */
export interface Settings {
  readonly host: string
  readonly port: number
  /** The folder of the files, or the one that comes with the app. */
  readonly filesDir: string | undefined
  /** Of a PostgreSQL server; without one the database is inside the process. */
  readonly databaseUrl: string | undefined
  /** How many processes serve. */
  readonly workers: number
}

const mostWorkers = 256

/** Reads `HOST`, `PORT`, `FILES`, `DATABASE_URL` and `WORKERS`; throws when one of them cannot be meant. */
export function readSettings ({
  HOST: host = '127.0.0.1', PORT: port = '3000', FILES: filesDir, DATABASE_URL: databaseUrl, WORKERS: workers = '1'
}: NodeJS.ProcessEnv): Settings {
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) throw new Error(`PORT is "${port}": it must be a number from 0 to 65535`)
  const count = workers === 'auto' ? availableParallelism() : /^\d{1,3}$/.test(workers) ? Number(workers) : 0
  if (count < 1 || count > mostWorkers) throw new Error(`WORKERS is "${workers}": it must be a number from 1 to ${mostWorkers}, or auto for one a core`)
  // There may be a password in it: it is not shown.
  if (databaseUrl !== undefined && !/^postgres(?:ql)?:\/\//.test(databaseUrl)) throw new Error('DATABASE_URL must begin with postgres:// or postgresql://')
  return { host, port: Number(port), filesDir, databaseUrl, workers: count }
}
