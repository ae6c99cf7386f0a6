import { createHash, randomUUID } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { request } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import t from 'tap'
import fastify from 'fastify'
import type { Database, Query } from '../../example-app/database/database.js'
import { Room } from '../../example-app/database/room.js'
import { findPeople, peoplePages } from '../../example-app/exporting/people-pages.js'
import { exporting } from '../../example-app/exporting/plugin.js'
import { sampleCsv, sampleFlaws } from '../../example-app/importing/sample.js'
import { streamingMediator } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import type { Frame } from '../../lib/testing/index.js'
import { postgresMissing, startPostgres } from '../support/postgres.js'
import { RunningApp } from './running-app.js'

const header = 'email,name,country,born\n'
const csv = { 'content-type': 'text/csv' }

function framesOf (text: string, event: string): any[] {
  return readFrames(text).filter(frame => frame.event === event).map(({ data }) => data)
}

// Each is opened once: that takes seconds.
for (const backend of ['embedded', 'server'] as const) {
  t.test(`imports and exports people, database: ${backend}`, { skip: backend === 'server' && postgresMissing }, async t => {
    const app = await new RunningApp().start(t, undefined, { databaseUrl: backend === 'server' ? await startPostgres(t) : undefined })
    const { database } = app.instance
    // The embedded one takes twice as long.
    const size = backend === 'server' ? 100_000 : 30_000

    async function count (): Promise<number> {
      return ((await (await fetch(`${app.url}/people`)).json()) as { rows: number }).rows
    }
    async function empty (): Promise<void> {
      await fetch(`${app.url}/people`, { method: 'DELETE' })
    }
    async function importCsv (body: string | Readable): Promise<string> {
      const init = { method: 'POST', headers: csv, body, duplex: 'half' }
      return await (await fetch(`${app.url}/commands/import-csv`, init as unknown as RequestInit)).text()
    }
    // A request whose answer begins while it is being sent.
    async function begin (path: string): Promise<{ sending: ClientRequest, answer: () => Promise<IncomingMessage> }> {
      const sending = request(app.url + path, { method: 'POST', headers: csv })
      const answering = once(sending, 'response')
      sending.on('error', () => {})
      return { sending, answer: async () => (await answering)[0] }
    }

    t.test('sends statements with parameters, and rolls back what fails', async t => {
      t.same(await database.query('SELECT $1::integer AS number, $2::text AS text, $3::text[] AS list', [1, "it's \\ \"so\"", ['a', '{b,"c"}']]),
        [{ number: 1, text: "it's \\ \"so\"", list: ['a', '{b,"c"}'] }])
      const insert = async (query: Query, email: string): Promise<void> => {
        await query("INSERT INTO people (email, name, country, born) VALUES ($1, 'Ada', 'NL', '1990-01-01')", [email])
      }
      await empty()
      await t.rejects(database.transaction(async query => {
        await insert(query, 'a@example.com')
        throw new Error('no')
      }), { message: 'no' })
      await t.rejects(database.transaction(async query => {
        await insert(query, 'a@example.com')
        await insert(query, 'a@example.com')
      }), { code: '23505' })
      t.equal(await count(), 0)
      t.equal(await database.transaction(async query => {
        await insert(query, 'a@example.com')
        return 'done'
      }), 'done')
      t.equal(await count(), 1)
    })

    t.test('imports the good rows in batches, tells the bad ones, and tallies the batches', async t => {
      await empty()
      const before: any = await (await fetch(`${app.url}/import/tally`)).json()
      const { rejected, duplicates } = sampleFlaws(2_500)
      const text = await importCsv(Readable.from(sampleCsv(2_500, false)))
      const rows = 2_500 - rejected - duplicates
      t.same(framesOf(text, 'batch').map(({ rows }) => rows), [940, 1_880, rows])
      t.equal(framesOf(text, 'rejected').length, rejected)
      t.match(framesOf(text, 'complete')[0], { rows, duplicates, rejected, batches: 3 })
      t.equal(await count(), rows)
      t.same(await (await fetch(`${app.url}/import/tally`)).json(),
        { batches: before.batches + 3, rows: before.rows + rows, duplicates: before.duplicates + duplicates })
      t.match(framesOf(await importCsv(Readable.from(sampleCsv(2_500, false))), 'complete')[0], { rows: 0, duplicates: rows + duplicates, rejected })
      t.equal(await count(), rows)
    })

    t.test('tells a thousand bad rows and counts the others', async t => {
      const text = await importCsv(`${header}${'nobody\n'.repeat(2_100)}`)
      t.equal(framesOf(text, 'rejected').length, 1_000)
      t.match(framesOf(text, 'complete')[0], { rows: 0, rejected: 2_100, batches: 0 })
    })

    t.test('answers a header that is wrong while the client still sends', async t => {
      const { sending, answer } = await begin('/commands/import-csv')
      sending.write('email,name\na@example.com,Ada\n'.padEnd(1_000_000, 'x'))
      const response = await answer()
      t.equal(response.statusCode, 400)
      t.match(await response.toArray().then(chunks => JSON.parse(Buffer.concat(chunks).toString())), { code: 'EXAMPLE_ERR_MISSING_COLUMN' })
      sending.destroy()
    })

    t.test('keeps whole batches of a client that leaves in the middle', async t => {
      await empty()
      const { sending, answer } = await begin('/commands/import-csv')
      for await (const text of sampleCsv(5_500, true)) sending.write(text)
      let text = ''
      for await (const chunk of await answer()) {
        text += chunk
        if (text.includes('"rows":5000')) break
      }
      const streamId = /"streamId":"([\w-]+)"/.exec(text)![1]!
      sending.destroy()
      for (let times = 1; (await app.logged('stream ended', times))['streamId'] !== streamId; times++);
      t.same(await (await fetch(`${app.url}/import/runs/${streamId}`)).json(), { rows: 5_000 })
      for (const id of ['%00', 'a', 'a'.repeat(23)]) t.equal((await fetch(`${app.url}/import/runs/${id}`)).status, 400, id)
      t.equal(await count(), 5_000)
    })

    t.test('imports an upload once, and refuses what is no upload', async t => {
      await empty()
      const fileId = 'a'.repeat(32)
      const put = async (id: string, init: RequestInit = {}): Promise<number> =>
        (await fetch(`${app.url}/import/files/${id}`, { method: 'PUT', headers: csv, body: `${header}a@example.com,Ada,NL,1990-01-01\n`, ...init })).status
      t.equal(await put(fileId), 201)
      t.equal(await put(fileId), 409)
      t.equal(await put('..%2f..%2fetc%2fpasswd'), 400)
      t.equal(await put('a'.repeat(31)), 400)
      t.equal(await put('b'.repeat(32), { headers: { 'content-type': 'text/plain' } }), 415)
      const keys = [randomUUID(), randomUUID()]
      const [first, second] = await Promise.all(keys.map(async key => await (await app.post('/jobs/import-people', { fileId }, { 'idempotency-key': key })).text()))
      t.equal([first!, second!].filter(text => text.includes('event: complete')).length, 1)
      t.match([first, second].join(), 'EXAMPLE_ERR_UNKNOWN_UPLOAD')
      t.equal(await count(), 1)
      const key = keys[first!.includes('event: complete') ? 0 : 1]!
      t.match(await (await app.post('/jobs/import-people', { fileId }, { 'idempotency-key': key })).text(), 'event: complete', 'who asks again by the same key')
      t.equal((await app.post('/jobs/import-people', { fileId }, { prefer: 'respond-async' })).status, 404)
    })

    t.test('refuses an upload that says that it is too large, and forgets one that breaks off', async t => {
      const id = 'c'.repeat(32)
      const large = request(`${app.url}/import/files/${id}`, { method: 'PUT', headers: { ...csv, 'content-length': 2 ** 30 + 1 } })
      large.on('error', () => {})
      large.flushHeaders()
      const [response] = await once(large, 'response')
      t.equal(response.statusCode, 413)
      large.destroy()

      const broken = request(`${app.url}/import/files/${id}`, { method: 'PUT', headers: csv })
      broken.on('error', () => {})
      const logged = (msg: string): number => app.logs.filter(line => line.msg === msg).length
      const [requests, failures] = [logged('incoming request'), logged('request failed')]
      broken.write(header)
      await app.logged('incoming request', requests + 1)
      t.equal((await app.post('/jobs/import-people', { fileId: id })).status, 409, 'not before it is complete')
      broken.destroy()
      // The refused job, and the upload.
      await app.logged('request failed', failures + 2)
      t.equal((await app.post('/jobs/import-people', { fileId: id })).status, 404)
      const again = await fetch(`${app.url}/import/files/${id}`, { method: 'PUT', headers: csv, body: header })
      t.equal(again.status, 201, 'its id is free')
    })

    t.test(`exports what was imported, ${size} rows, and answers others meanwhile`, async t => {
      await empty()
      const hash = createHash('sha256')
      async function * sent (): AsyncGenerator<string> {
        for await (const text of sampleCsv(size, true)) {
          hash.update(text)
          yield text
        }
      }
      t.match(framesOf(await importCsv(Readable.from(sent())), 'complete')[0], { rows: size, rejected: 0 })
      const expected = hash.digest('hex')

      const response = await fetch(`${app.url}/export/people.csv`)
      t.match(response.headers.get('content-type'), 'text/csv')
      t.equal(response.headers.get('content-disposition'), 'attachment; filename="people.csv"')
      const received = createHash('sha256')
      let chunks = 0
      for await (const chunk of response.body!) {
        received.update(chunk)
        // In the middle of the export, which has one connection of the embedded database.
        if (chunks++ === 3) t.equal(await count(), size)
      }
      t.equal(received.digest('hex'), expected)

      let lines = 0
      const ndjson = await fetch(`${app.url}/export/people.ndjson`)
      let last = ''
      for await (const line of createInterface({ input: Readable.fromWeb(ndjson.body as any) })) {
        lines++
        last = line
      }
      t.equal(lines, size)
      t.match(JSON.parse(last), { email: `person${size - 1}@example.com`, name: /^Bjarne /, country: 'TR', born: /^\d{4}-\d\d-\d\d$/ })

      const frames = readFrames(await (await app.post('/jobs/export-people', { format: 'csv' })).text())
      const { url, rows, bytes } = frames.at(-1)!.data as { url: string, rows: number, bytes: number }
      t.equal(rows, size)
      t.ok(frames.filter(({ event }: Frame) => event === 'progress').length > 10)
      const file = Buffer.from(await (await fetch(app.url + url)).arrayBuffer())
      t.equal(file.length, bytes)
      t.equal(createHash('sha256').update(file).digest('hex'), expected)
    })

    t.test('fills the table, and knows no file that was not written', async t => {
      await empty()
      const text = await (await app.post('/jobs/fill-people', { rows: 12_000 })).text()
      t.same(framesOf(text, 'progress').map(({ rows }) => rows), [5_000, 10_000, 12_000])
      t.equal(await count(), 12_000)
      t.equal((await fetch(`${app.url}/export/files/people.csv`)).status, 404)
      t.equal((await fetch(`${app.url}/export/files/..%2Fpeople.csv`)).status, 404)
      t.equal((await app.post('/jobs/fill-people', { rows: 1_000_001 })).status, 400)
    })

    t.test('ends no export as if it were whole whose table was emptied meanwhile, also where others have taken the old ids', async t => {
      for (const rows of [0, 5_000]) {
        await empty()
        await (await app.post('/jobs/fill-people', { rows: 5_000 })).text()
        const pages = peoplePages(database, await findPeople(database))
        t.equal((await pages.next()).value!.length, 2_000)
        await empty()
        if (rows > 0) await (await app.post('/jobs/fill-people', { rows })).text()
        await t.rejects(async () => { for await (const page of pages) t.ok(page.length > 0) }, { code: 'EXAMPLE_ERR_TABLE_CHANGED', statusCode: 409 })
      }
    })
  })
}

// Has no end, and tells when it is asked.
class EndlessDatabase extends EventEmitter implements Database {
  asked = 0

  readonly query: Query = async <Row extends object>(_sql: string, parameters: readonly unknown[] = []) => {
    this.emit('query', ++this.asked)
    if (parameters.length === 0) return [{ rows: 2 ** 31, lastId: 2 ** 31 }] as unknown as Row[]
    const after = Number(parameters[0])
    return Array.from({ length: 2_000 }, (_, index) => ({
      id: after + index + 1, email: `person${after + index}@example.com`, name: 'Ada', country: 'NL', born: '1990-01-01'
    })) as unknown as Row[]
  }

  async transaction<T> (work: (query: Query) => Promise<T>): Promise<T> {
    return await work(this.query)
  }

  async close (): Promise<void> {}
}

t.test('knows before an import begins that there is no such upload', async t => {
  const app = await new RunningApp().start(t)
  for (const headers of [{}, { prefer: 'respond-async' }, { 'idempotency-key': randomUUID(), prefer: 'respond-async' }] as Array<Record<string, string>>) {
    const response = await app.post('/jobs/import-people', { fileId: 'd'.repeat(32) }, headers)
    t.equal(response.status, 404)
    t.match(await response.json(), { code: 'EXAMPLE_ERR_UNKNOWN_UPLOAD' })
  }
})

t.test('an export reads no further while its client does not, and ends when that has left', async t => {
  const app = fastify()
  t.teardown(async () => await app.close())
  const database = new EndlessDatabase()
  await app.register(streamingMediator)
  await app.register(exporting, { database, room: new Room() })
  const ended = new EventEmitter()
  app.addHook('onRequest', async (_request, reply) => { reply.raw.once('close', () => ended.emit('close')) })
  await app.listen({ port: 0 })

  const asking = request(`${app.listeningOrigin}/export/people.csv`)
  asking.on('error', () => {})
  asking.end()
  const [response] = await once(asking, 'response') as [IncomingMessage]
  response.on('error', () => {})
  response.pause()
  // Until the buffers of both sockets are full. A page is about 90 kB.
  const settled = await quiet(database)
  t.ok(settled < 400, `${settled} pages`)

  const closed = once(ended, 'close')
  asking.destroy()
  await closed
  t.ok(await quiet(database) <= settled + 1, 'no page more than the one that was asked for')
})

t.test('an export of a table that is emptied meanwhile is cut', async t => {
  const app = fastify()
  t.teardown(async () => await app.close())
  let emptied = 0
  const query = async (_sql: string, parameters?: readonly unknown[]): Promise<any[]> => {
    if (parameters === undefined) return [{ rows: 3_000, lastId: 3_000, emptied: emptied++ }]
    return parameters[0] === 0 ? [{ id: 1, email: 'a@example.com', name: 'Ada', country: 'NL', born: '1990-01-01' }] : []
  }
  await app.register(streamingMediator)
  await app.register(exporting, { database: { query, transaction: async work => await work(query), close: async () => {} }, room: new Room() })
  await app.listen({ port: 0 })
  const response = await fetch(`${app.listeningOrigin}/export/people.ndjson`)
  t.equal(response.status, 200)
  await t.rejects(response.text())
})

// Resolves the number of queries when there has been none for a while.
async function quiet (database: EndlessDatabase): Promise<number> {
  for (;;) {
    const { asked } = database
    const more = await once(database, 'query', { signal: AbortSignal.timeout(500) }).then(() => true, () => false)
    if (!more && asked === database.asked) return asked
  }
}
