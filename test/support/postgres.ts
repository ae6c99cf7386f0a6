import { execFile } from 'node:child_process'
import { chmod, chown, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Test } from 'tap'
import { findProgram, startServer } from './server-program.js'

const run = promisify(execFile)
// Debian keeps the programs of each version in a folder of its own.
const versions = '/usr/lib/postgresql'
const folders = (await readdir(versions).catch(() => [])).sort().reverse().map(version => join(versions, version, 'bin'))
const program = await findProgram('postgres', folders)
const initdb = await findProgram('initdb', folders)

/** Why tests with a PostgreSQL server are skipped, or false. In CI they are not. */
export const postgresMissing = process.env['CI'] === undefined && (program === undefined || initdb === undefined) &&
  'POSTGRESQL IS MISSING: install it (Debian: apt-get install postgresql) to test the example app with a server'

/** Starts an empty PostgreSQL server, which ends with the test, and resolves the URL of its database. */
export async function startPostgres (t: Test): Promise<string> {
  if (program === undefined || initdb === undefined) throw new Error('PostgreSQL is not installed')
  const folder = await mkdtemp(join(tmpdir(), 'postgres-'))
  t.teardown(async () => await rm(folder, { recursive: true, force: true }))
  // It refuses to run as root.
  const uid = process.getuid?.() === 0 ? Number((await run('id', ['-u', 'nobody'])).stdout) : undefined
  if (uid !== undefined) await chown(folder, uid, -1)
  await chmod(folder, 0o700)
  const data = join(folder, 'data')
  await run(initdb, ['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '--no-instructions', '--encoding=UTF8', '--locale=C'],
    { cwd: folder, ...(uid !== undefined && { uid }) })
  const port = await startServer(t, async port => ({
    program,
    args: ['-D', data, '-p', String(port), '-k', '', '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'],
    uid
  }))
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  // It accepts connections before it answers them.
  while (!await answers(url)) await sleep(50)
  return url
}

async function answers (url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url })
  try {
    await client.connect()
  } catch (error) {
    const cannotConnectNow = '57P03'
    if ((error as { code?: string }).code !== cannotConnectNow) throw error
    return false
  }
  await client.end()
  return true
}
