import { availableParallelism } from 'node:os'
import type { Upstream } from './chat/upstream.js'

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
  /** The model that the chat asks, or the app's own stand-in. */
  readonly upstream: Upstream | undefined
}

const mostWorkers = 256
const openAi = 'https://api.openai.com/v1'

/** Reads `HOST`, `PORT`, `FILES`, `DATABASE_URL`, `WORKERS` and `OPENAI_…`; throws when one of them cannot be meant. */
export function readSettings (env: NodeJS.ProcessEnv): Settings {
  const { HOST: host = '127.0.0.1', PORT: port = '3000', FILES: filesDir, DATABASE_URL: databaseUrl, WORKERS: workers = '1' } = env
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) throw new Error(`PORT is "${port}": it must be a number from 0 to 65535`)
  const count = workers === 'auto' ? availableParallelism() : /^\d{1,3}$/.test(workers) ? Number(workers) : 0
  if (count < 1 || count > mostWorkers) throw new Error(`WORKERS is "${workers}": it must be a number from 1 to ${mostWorkers}, or auto for one a core`)
  // There may be a password in it: it is not shown.
  if (databaseUrl !== undefined && !/^postgres(?:ql)?:\/\//.test(databaseUrl)) throw new Error('DATABASE_URL must begin with postgres:// or postgresql://')
  return { host, port: Number(port), filesDir, databaseUrl, workers: count, upstream: readUpstream(env) }
}

/** A key alone is one of OpenAI's; a url alone is that of a server that needs no key. What they are is not repeated: both can hold a secret. */
function readUpstream ({ OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey, OPENAI_MODEL: model = 'gpt-4o-mini' }: NodeJS.ProcessEnv): Upstream | undefined {
  if (apiKey !== undefined && !/^[!-~]+$/.test(apiKey)) throw new Error('OPENAI_API_KEY is no key: it must be visible ASCII characters, without spaces')
  if (baseUrl === undefined && apiKey === undefined) return undefined
  const url = URL.canParse(baseUrl ?? openAi) ? new URL(baseUrl ?? openAi) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new Error('OPENAI_BASE_URL must be the http or https url of an API, without a user, a query or a hash')
  }
  return { baseUrl: url.href.replace(/\/$/, ''), apiKey, model }
}
