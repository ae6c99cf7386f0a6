import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import t from 'tap'
import type { Test } from 'tap'
import { openPostgres } from '../../example-app/database/postgres-database.js'
import { sampleCsv } from '../../example-app/importing/sample.js'
import { readFrames } from '../../lib/testing/index.js'
import { deferred } from '../support/app.js'
import { CuttingProxy } from '../support/cutting-proxy.js'
import { postgresMissing, startPostgres } from '../support/postgres.js'
import { RunningApp } from './running-app.js'

const otherConnections = 'FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()'

t.test('a PostgreSQL server', { skip: postgresMissing }, async t => {
  const url = await startPostgres(t)
  const losses = new EventEmitter()
  const database = await openPostgres(url, error => losses.emit('loss', error))
  t.teardown(async () => await database.close())
  await database.query('CREATE TABLE places (id integer PRIMARY KEY, visits integer NOT NULL)')
  await database.query('INSERT INTO places VALUES (1, 0), (2, 0)')
  const outside = await openPostgres(url, () => {})
  t.teardown(async () => await outside.close())
  const cutOthers = async (): Promise<void> => { await outside.query(`SELECT pg_terminate_backend(pid) ${otherConnections}`) }

  const connections = async (): Promise<number> => (await outside.query<{ count: number }>(`SELECT count(*)::integer AS count ${otherConnections}`))[0]!.count

  t.test('runs a transaction again that the server has picked to end a deadlock', async t => {
    let runs = 0
    const bothHoldOne = deferred()
    let holding = 0
    const visit = async (first: number, second: number): Promise<void> => await database.transaction(async query => {
      runs++
      await query('UPDATE places SET visits = visits + 1 WHERE id = $1', [first])
      if (++holding === 2) bothHoldOne.resolve()
      await bothHoldOne.promise
      await query('UPDATE places SET visits = visits + 1 WHERE id = $1', [second])
    })
    await Promise.all([visit(1, 2), visit(2, 1)])
    // More often where the one that was picked is back before the other one has noticed.
    t.ok(runs >= 3, `${runs} runs`)
    t.same(await database.query('SELECT visits FROM places ORDER BY id'), [{ visits: 2 }, { visits: 2 }])
  })

  t.test('tells of a connection that was lost while nobody used it, and opens another', async t => {
    await database.query('SELECT 1')
    const idle = await connections()
    const codes: unknown[] = []
    const allLost = new Promise<void>(resolve => losses.on('loss', ({ code }) => {
      codes.push(code)
      if (codes.length === idle) resolve()
    }))
    await cutOthers()
    await allLost
    t.strictSame(codes, Array.from({ length: idle }, () => '57P01'))
    t.same(await database.query('SELECT 1 AS one'), [{ one: 1 }])
  })

  t.test('rejects a transaction whose connection was lost, also while it waited for something else', async t => {
    const goOn = deferred()
    const began = deferred()
    const failing = t.rejects(database.transaction(async query => {
      await query('INSERT INTO places VALUES (3, 0)')
      began.resolve()
      await goOn.promise
      await query('INSERT INTO places VALUES (4, 0)')
    }), { message: /terminat|not queryable/ })
    await began.promise
    await cutOthers()
    // Until the server has ended it, and for as long as it takes here to notice.
    while (await connections() > 0);
    await new Promise(resolve => setImmediate(resolve))
    goOn.resolve()
    await failing
    t.same(await database.query('SELECT id FROM places ORDER BY id'), [{ id: 1 }, { id: 2 }])
  })

  const openBehindProxy = async (t: Test, silentMs?: number) => {
    const proxy = await new CuttingProxy().start(t, Number(new URL(url).port))
    const behind = new URL(url)
    behind.port = new URL(proxy.url).port
    return { proxy, database: await openPostgres(behind.href, () => {}, silentMs === undefined ? {} : { silentMs }) }
  }

  t.test('gives up statements and transactions that a network swallows, and works when it is back', async t => {
    const { proxy, database } = await openBehindProxy(t, 300)
    t.teardown(async () => await database.close())
    const began = deferred()
    const goOn = deferred()
    const failing = t.rejects(database.transaction(async query => {
      await query('SELECT 1')
      began.resolve()
      await goOn.promise
      await query('SELECT 2')
    }), { code: 'EXAMPLE_ERR_SILENT_DATABASE' })
    await began.promise
    proxy.freeze()
    goOn.resolve()
    await failing
    await t.rejects(database.query('SELECT 3'))
    proxy.mend()
    t.same(await database.query('SELECT 4 AS four'), [{ four: 4 }])
  })

  t.test('closes although a network swallows its statements', async t => {
    const { proxy, database } = await openBehindProxy(t)
    const began = deferred()
    const failing = t.rejects(database.transaction(async query => {
      await query('SELECT 1')
      began.resolve()
      await query('SELECT pg_sleep(60)')
    }))
    await began.promise
    proxy.freeze()
    // The test ends by its timeout where this waits for the answer.
    await Promise.all([database.close(), failing])
  })

  t.test('empties the tables while an import is between its locks, and neither fails', async t => {
    const app = await new RunningApp().start(t, undefined, { databaseUrl: url })
    await app.instance.database.query('SELECT 1')
    let runs = 0
    let emptying: Promise<Response> | undefined
    await database.transaction(async query => {
      runs++
      // As a batch of an import does.
      await query("INSERT INTO imports (id) VALUES ('a') ON CONFLICT DO NOTHING")
      await query("SELECT rows FROM imports WHERE id = 'a' FOR UPDATE")
      emptying ??= fetch(`${app.url}/people`, { method: 'DELETE' })
      while ((await outside.query('SELECT 1 FROM pg_locks WHERE NOT granted')).length === 0);
      await query("INSERT INTO people (email, name, country, born) VALUES ('a@example.com', 'Ada', 'NL', '1990-01-01')")
    })
    t.equal((await emptying!).status, 204)
    t.equal(runs, 1)
    t.same(await database.query('SELECT id FROM people UNION ALL SELECT 1 FROM imports'), [])
  })

  t.test('stops adding rows when the table is full', async t => {
    const app = await new RunningApp().start(t, undefined, { databaseUrl: url, maxPeople: 10_000 })
    const last = async (response: Response): Promise<unknown> => readFrames(await response.text()).at(-1)
    await fetch(`${app.url}/people`, { method: 'DELETE' })
    t.match(await last(await app.post('/jobs/fill-people', { rows: 20_000 })), { event: 'failed', data: { status: 507 } })
    t.same(await (await fetch(`${app.url}/people`)).json(), { rows: 10_000 })
    const csv = 'email,name,country,born\na@example.com,Ada,NL,1990-01-01\n'
    const send = async (): Promise<Response> => await fetch(`${app.url}/commands/import-csv`, { method: 'POST', headers: { 'content-type': 'text/csv' }, body: csv })
    t.equal((await send()).status, 507)
    // Ids that were used up by rows that are gone are no rows.
    await database.query('DELETE FROM people WHERE id < 10000')
    t.match(await last(await send()), { event: 'complete', data: { rows: 1 } })
    await fetch(`${app.url}/people`, { method: 'DELETE' })
  })

  t.test('an import with the key of one that an earlier process has run counts anew', async t => {
    const key = randomUUID()
    const fileId = 'a'.repeat(32)
    for (const duplicates of [0, 1]) {
      const app = await new RunningApp().start(t, undefined, { databaseUrl: url })
      const body = 'email,name,country,born\nkey@example.com,Ada,NL,1990-01-01\n'
      await fetch(`${app.url}/import/files/${fileId}`, { method: 'PUT', headers: { 'content-type': 'text/csv' }, body })
      const text = await (await app.post('/jobs/import-people', { fileId }, { 'idempotency-key': key })).text()
      t.match(readFrames(text).at(-1), { event: 'complete', data: { rows: 1 - duplicates, duplicates } })
    }
    await outside.query('TRUNCATE people')
  })

  t.test('an import whose connection is cut fails, leaves whole batches, and the next one works', async t => {
    const app = await new RunningApp().start(t, undefined, { databaseUrl: url })
    const send = async (body: AsyncIterable<string>): Promise<Response> => await fetch(`${app.url}/commands/import-csv`, {
      method: 'POST', headers: { 'content-type': 'text/csv' }, body: Readable.from(body), duplex: 'half'
    } as unknown as RequestInit)
    const rows = async (): Promise<number> => ((await (await fetch(`${app.url}/people`)).json()) as { rows: number }).rows
    // Holds up the next batch, and cuts the connection that waits for it.
    async function cutBatch (): Promise<void> {
      const [locked, cut] = [deferred(), deferred()]
      const locking = outside.transaction(async query => {
        await query('LOCK TABLE people IN EXCLUSIVE MODE')
        locked.resolve()
        await cut.promise
      })
      await locked.promise
      while ((await outside.query(`SELECT pg_terminate_backend(pid) ${otherConnections} AND wait_event_type = 'Lock'`)).length === 0);
      cut.resolve()
      await locking
    }
    let cutting: Promise<void> | undefined
    async function * cutInTheMiddle (): AsyncGenerator<string> {
      for await (const text of sampleCsv(50_000, true)) {
        yield text
        if (cutting === undefined && await rows() > 0) cutting = cutBatch()
      }
    }
    const frames = readFrames(await (await send(cutInTheMiddle())).text())
    await cutting
    t.match(frames.at(-1), { event: 'failed', data: { code: 'INTERNAL_SERVER_ERROR' } })
    const kept = await rows()
    t.ok(kept > 0)
    t.equal(kept % 1_000, 0)
    await fetch(`${app.url}/people`, { method: 'DELETE' })
    t.match(readFrames(await (await send(sampleCsv(2_000, true))).text()).at(-1), { event: 'complete', data: { rows: 2_000 } })
  })
})

t.test('an app whose database does not answer says so, and works when it does', { skip: postgresMissing }, async t => {
  const url = await startPostgres(t)
  const app = await new RunningApp().start(t, undefined, { databaseUrl: new URL('/later', url).href })
  const response = await fetch(`${app.url}/people`)
  t.equal(response.status, 500)
  t.equal(response.headers.get('content-type'), 'application/problem+json')
  const problem = await response.json() as { instance: string }
  t.same(problem, { type: 'about:blank', title: 'Internal Server Error', status: 500, instance: problem.instance }, 'what the server said is not told')
  t.match(await app.logged('request failed'), { level: 50, instance: problem.instance, err: { message: 'database "later" does not exist' } })
  const outside = await openPostgres(url, () => {})
  await outside.query('CREATE DATABASE later')
  await outside.close()
  t.same(await (await fetch(`${app.url}/people`)).json(), { rows: 0 })
})
