import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { Test } from 'tap'
import type { LightMyRequestResponse } from 'fastify'
import { MemoryStreamLog, commandRoute, defineCommand, streamRoutes } from '../../index.js'
import type { LogReader, ReadLogOptions } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { listen } from '../support/app.js'
import { createKeptApp, headerOwner } from '../support/kept-app.js'
import type { KeptApp, KeptAppOptions } from '../support/kept-app.js'
import { ManualClock } from '../support/manual-clock.js'
import { RawClient } from '../support/raw-client.js'

const sse = 'text/event-stream'
const ndjson = 'application/x-ndjson'
const json = 'application/json'
const problem = 'application/problem+json'
const anna = { 'x-user': 'anna' }
const bert = { 'x-user': 'bert' }
const unknown = 'AAAAAAAAAAAAAAAAAAAAAA'

async function createKept (t: Test, options?: KeptAppOptions): Promise<KeptApp> {
  const kept = await createKeptApp(t, options)
  await kept.ready()
  return kept
}

/** What tells one answer from another, without what differs from one moment to the next. */
function shapeOf ({ statusCode, headers: { date, ...headers }, body }: LightMyRequestResponse): object {
  return { statusCode, headers, body }
}

for (const [accept, type] of [[sse, sse], [ndjson, ndjson], ['*/*', sse], [undefined, sse]] as const) {
  t.test(`R47 gives a stream from its start, and after any id of it, as ${type} for Accept ${accept ?? 'that is missing'}`, async t => {
    const { app, gate, run } = await createKept(t)
    gate.resolve()
    const streamId = await run(anna, 3)
    const headers = { ...anna, ...(accept !== undefined && { accept }) }
    const whole = await app.inject({ url: `/streams/${streamId}`, headers })
    t.equal(whole.statusCode, 200)
    t.match(whole.headers, {
      'content-type': type, 'cache-control': 'no-cache, no-store, no-transform', 'x-accel-buffering': 'no', 'x-content-type-options': 'nosniff', vary: 'Accept'
    })
    const frames = readFrames(whole)
    t.strictSame(frames.map(({ id }) => id), [`${streamId}.1`, `${streamId}.2`, `${streamId}.3`, `${streamId}.4`, `${streamId}.5.end`])
    t.match(frames[0]!.data, { streamId, command: 'count', attempt: 1, resumable: true, url: `/streams/${streamId}` })
    t.equal(whole.body.includes('.1\nretry: 2000\ndata'), type === sse)
    for (const [index, { id }] of frames.slice(0, -1).entries()) {
      for (const request of [
        { url: `/streams/${streamId}`, headers: { ...headers, 'last-event-id': id } },
        { url: `/streams/${streamId}?lastEventId=${id}`, headers },
        // The header is newer than the url that a page was opened with.
        { url: `/streams/${streamId}?lastEventId=${streamId}.1`, headers: { ...headers, 'last-event-id': id } }
      ]) t.strictSame(readFrames(await app.inject(request)), frames.slice(index + 1), `${request.url} after ${id}`)
    }
  })
}

t.test('R47 goes on live for readers at different places, who share the one handler', async t => {
  const { app, gate, started, start } = await createKept(t)
  const streamId = await start(anna, 3)
  const port = await listen(app)
  const readers = [['', sse], ['.1', sse], ['.2', sse], ['', ndjson], ['.2', ndjson]].map(([place, accept]) => {
    const client = new RawClient(port)
    client.request('GET', `/streams/${streamId}`, { headers: { ...anna, accept: accept!, ...(place !== '' && { 'last-event-id': streamId + place! }) } })
    return { client, place }
  })
  for (const { client, place } of readers) await client.until(place === '.2' ? '\r\n\r\n' : '"n":1')
  gate.resolve()
  for (const { client, place } of readers) {
    await client.until('"total":3')
    const seen = readFrames(client.body).map(({ id }) => id.slice(23))
    t.strictSame(seen, ['1', '2', '3', '4', '5.end'].slice(place === '' ? 0 : Number(place!.slice(1))))
    client.socket.destroy()
  }
  t.equal(started.length, 1)
})

t.test('R48 tells how a stream stands, while it runs, and how it has ended for as long as it is kept', async t => {
  const { app, log, clock, gate, start, run } = await createKept(t, { log: { maxEntries: 2, retainMs: 1_000 } })
  const status = async (streamId: string): Promise<any> => {
    const response = await app.inject({ url: `/streams/${streamId}`, headers: { ...anna, accept: json } })
    if (response.statusCode !== 200) return response.statusCode
    t.match(response.headers, { 'content-type': `${json}; charset=utf-8`, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', vary: 'Accept' })
    return response.json()
  }
  const at = (text: string): boolean => Math.abs(Date.parse(text) - Date.now()) < 60_000
  const streamId = await start(anna, 3)
  const reader = await log.read(streamId, { after: { seq: 1, attempt: 1 } })
  while (reader.take().length === 0) await new Promise<void>(resolve => reader.onReady(resolve))
  reader.close()
  const running = await status(streamId)
  t.strictSame({ ...running, startedAt: at(running.startedAt) }, {
    streamId, command: 'count', state: 'running', attempt: 1, lastEventId: `${streamId}.2`, startedAt: true, endedAt: null, progressCount: 1
  })
  const resumed = app.inject({ url: `/streams/${streamId}`, headers: { ...anna, 'last-event-id': running.lastEventId } })
  gate.resolve()
  t.strictSame(readFrames(await resumed).map(({ id }) => id.slice(23)), ['3', '4', '5.end'], 'the last id is taken as it is')
  const completed = await status(streamId)
  t.strictSame({ ...completed, startedAt: at(completed.startedAt), endedAt: at(completed.endedAt) }, {
    streamId, command: 'count', state: 'completed', attempt: 1, lastEventId: `${streamId}.5.end`, startedAt: true, endedAt: true, progressCount: 3, result: { total: 3 }
  })
  t.equal((await app.inject({ url: `/streams/${streamId}`, headers: anna })).statusCode, 410, 'the first frames are gone, and the result is not')
  t.equal((await app.inject({ url: `/streams/${streamId}?lastEventId=${completed.lastEventId}`, headers: anna })).statusCode, 204)
  const failed = await run(anna, 404)
  t.match(await status(failed), {
    state: 'failed', lastEventId: `${failed}.406.end`, problem: { status: 404, detail: 'Nothing to count', instance: failed, retryable: false }, result: undefined
  })
  const { streamId: queued } = (await log.open('QQQQQQQQQQQQQQQQQQQQQQ', { owner: 'anna', command: 'count', fingerprint: '', lease: false }) as any).info
  t.strictSame(await status(queued), {
    streamId: queued, command: 'count', state: 'queued', attempt: 0, lastEventId: null, startedAt: null, endedAt: null, progressCount: 0
  })
  await log.cancel(queued)
  t.match(await status(queued), { state: 'cancelled', startedAt: null, problem: { code: 'MEDIATOR_ERR_CANCELLED' } })
  clock.advance(2_000)
  t.strictSame([await status(streamId), await status(failed), await status(queued)], [404, 404, 404])
})

t.test('gives numbers of a result as the log has them, whatever JavaScript makes of them', async t => {
  const { app, log } = await createKept(t)
  const { writer } = await log.open(unknown, { owner: 'anna', command: 'count', fingerprint: '', lease: true }) as any
  await writer.end('completed', '{"big":12345678901234567890}')
  t.match((await app.inject({ url: `/streams/${unknown}`, headers: { ...anna, accept: json } })).body, '"result":{"big":12345678901234567890}}')
})

t.test('R6 answers HEAD with the headers of a GET, reads nothing and cancels nothing', async t => {
  const { app, log, started, start } = await createKept(t)
  const streamId = await start(anna)
  for (const accept of [sse, ndjson, json]) {
    const [head, get] = [await app.inject({ method: 'HEAD', url: `/streams/${streamId}`, headers: { ...anna, accept } }),
      accept === json ? await app.inject({ url: `/streams/${streamId}`, headers: { ...anna, accept } }) : undefined]
    t.equal(head.statusCode, 200)
    t.equal(head.body, '')
    t.equal(head.headers['content-type'], accept)
    t.equal(head.headers['cache-control'], get?.headers['cache-control'] ?? 'no-cache, no-store, no-transform')
  }
  t.equal((await app.inject({ method: 'HEAD', url: `/streams/${unknown}`, headers: anna })).statusCode, 404)
  t.equal((await app.inject({ method: 'HEAD', url: '/streams', headers: anna })).statusCode, 200)
  t.match(await log.stat(streamId), { state: 'running' })
  t.equal(started.length, 1)
})

t.test('R49 answers 204 to who has seen the end, also without the mark of one', async t => {
  const { app, gate, run } = await createKept(t)
  gate.resolve()
  const streamId = await run(anna)
  for (const id of ['4.end', '4', '1.end', '9-3.end']) {
    for (const accept of [sse, ndjson]) {
      const response = await app.inject({ url: `/streams/${streamId}`, headers: { ...anna, accept, 'last-event-id': `${streamId}.${id}` } })
      t.strictSame([response.statusCode, response.body, response.headers['cache-control'], response.headers['x-content-type-options']], [204, '', 'no-store', 'nosniff'], `${id} ${accept}`)
    }
  }
  t.equal((await app.inject({ url: `/streams/${unknown}`, headers: { ...anna, 'last-event-id': `${unknown}.7.end` } })).statusCode, 204, 'nothing need be kept for it')
  for (const accept of [sse, json]) {
    const resumed = await app.inject({ method: 'POST', url: '/count', payload: { to: 2 }, headers: { ...anna, accept, 'last-event-id': `${streamId}.4` } })
    t.strictSame([resumed.statusCode, resumed.headers['cache-control']], [204, 'no-store'], 'on the route of its command as well')
  }
})

t.test('R50 refuses ids that are malformed, of another stream, trimmed, or of the future, and Accept that takes nothing', async t => {
  const { app, log, started, gate, run, start } = await createKept(t, { log: { maxEntries: 3 } })
  const running = await start(anna)
  gate.resolve()
  const streamId = await run(anna, 5)
  const other = await run(anna, 5)
  for (const [lastEventId, status, code] of [
    ['$', 400, 'MEDIATOR_ERR_MALFORMED_EVENT_ID'],
    [streamId, 400, 'MEDIATOR_ERR_MALFORMED_EVENT_ID'],
    [`${other}.6`, 400, 'MEDIATOR_ERR_FOREIGN_EVENT_ID'],
    [`${other}.7.end`, 400, 'MEDIATOR_ERR_FOREIGN_EVENT_ID'],
    [`${streamId}.1`, 410, 'MEDIATOR_ERR_LOG_GAP'],
    [`${streamId}.8`, 410, 'MEDIATOR_ERR_LOG_ROLLED_BACK'],
    [`${streamId}.6-2`, 410, 'MEDIATOR_ERR_LOG_ROLLED_BACK']
  ] as const) {
    for (const request of [{ url: `/streams/${streamId}`, headers: { ...anna, 'last-event-id': lastEventId } }, { url: `/streams/${streamId}?lastEventId=${lastEventId}`, headers: anna }]) {
      const response = await app.inject(request)
      t.strictSame([response.statusCode, response.headers['content-type'], response.json().code], [status, problem, code], lastEventId)
    }
  }
  t.match((await app.inject({ url: `/streams/${streamId}`, headers: { ...anna, accept: 'image/png' } })).json(), { status: 406, code: 'MEDIATOR_ERR_NOT_ACCEPTABLE' })
  t.equal(started.length, 3)
  t.equal((await log.stat(running))?.state, 'completed')
})

t.test('R51 answers for the stream of somebody else, an expired one and one that never was in the same way', async t => {
  const { app, clock, gate, run } = await createKept(t, { log: { retainMs: 1_000 } })
  gate.resolve()
  const expired = await run(anna)
  clock.advance(2_000)
  const foreign = await run(anna)
  const ids = { foreign, expired, unknown, malformed: 'a', path: '..%2F..%2Fetc', nul: '%00', long: 'a'.repeat(90) }
  for (const method of ['GET', 'DELETE', 'HEAD'] as const) {
    for (const headers of [{}, { accept: json }, { accept: ndjson }, { origin: 'http://evil.example' }]) {
      const shapes = []
      for (const id of Object.values(ids)) shapes.push(shapeOf(await app.inject({ method, url: `/streams/${id}`, headers: { ...bert, ...headers } })))
      t.match(shapes[0], { statusCode: 404, headers: { 'content-type': problem, 'cache-control': 'no-store' } })
      for (const shape of shapes) t.strictSame(shape, shapes[0])
    }
  }
  for (const id of [foreign, expired, unknown]) {
    t.strictSame(shapeOf(await app.inject({ url: `/streams/${id}`, headers: { ...bert, 'last-event-id': `${id}.1` } })),
      shapeOf(await app.inject({ url: `/streams/${unknown}`, headers: bert })), 'an id that somebody has overheard opens nothing')
  }
  t.equal((await app.inject({ url: `/streams/${foreign}`, headers: anna })).statusCode, 200)
})

t.test('R51 takes as long for the stream of somebody else as for one that never was', async t => {
  const { app, gate, run } = await createKept(t)
  gate.resolve()
  const foreign = await run(anna, 100)
  const port = await listen(app)
  const times = { foreign: [] as number[], unknown: [] as number[] }
  const client = new RawClient(port)
  const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!
  for (let round = 0; round < 120; round++) {
    for (const [kind, id] of [['foreign', foreign], ['unknown', unknown]] as const) {
      client.chunks.length = 0
      const startedAt = performance.now()
      client.request('GET', `/streams/${id}`, { headers: bert })
      await client.until('}')
      times[kind].push(performance.now() - startedAt)
    }
  }
  client.socket.destroy()
  const [one, other] = [median(times.foreign), median(times.unknown)]
  t.comment(`median ms: foreign ${one.toFixed(3)}, unknown ${other.toFixed(3)}`)
  t.ok(one < other * 2 && other < one * 2)
})

t.test('R52 cancels a stream, and answers its final status as often as it is asked', async t => {
  const { app, started, start } = await createKept(t)
  const streamId = await start(anna)
  const port = await listen(app)
  const reader = new RawClient(port)
  reader.request('GET', `/streams/${streamId}`, { headers: anna })
  await reader.until('"n":1')
  const cancel = async (headers = anna): Promise<LightMyRequestResponse> => await app.inject({ method: 'DELETE', url: `/streams/${streamId}`, headers })
  t.equal((await cancel(bert)).statusCode, 404)
  const answers = await Promise.all([cancel(), cancel(), cancel()])
  answers.push(await cancel())
  for (const { statusCode, headers, body } of answers) {
    t.equal(statusCode, 200)
    t.match(headers, { 'content-type': `${json}; charset=utf-8`, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    t.match(JSON.parse(body), { streamId, state: 'cancelled', lastEventId: `${streamId}.3.end`, problem: { status: 409, code: 'MEDIATOR_ERR_CANCELLED', retryable: false } })
  }
  await reader.until('MEDIATOR_ERR_CANCELLED')
  t.strictSame(readFrames(reader.body).map(({ event }) => event), ['start', 'progress', 'failed'])
  reader.socket.destroy()
  t.equal(started.length, 1)
})

t.test('R52 answers how a stream has ended that had ended before it was cancelled', async t => {
  const { app, gate, run } = await createKept(t)
  gate.resolve()
  const streamId = await run(anna)
  for (let round = 0; round < 2; round++) {
    const response = await app.inject({ method: 'DELETE', url: `/streams/${streamId}`, headers: anna })
    t.match(response.json(), { state: 'completed', result: { total: 2 } })
  }
  const failed = await run(anna, 404)
  t.match((await app.inject({ method: 'DELETE', url: `/streams/${failed}`, headers: anna })).json(), { state: 'failed', problem: { status: 404 } })
  t.equal((await app.inject({ method: 'DELETE', url: `/streams/${unknown}`, headers: anna })).statusCode, 404)
})

t.test('R52 takes the end that the writer gives a stream which is being cancelled, even one that has written much in between', async t => {
  const { app, log } = await createKept(t, { log: { maxEntries: 1 } })
  const { writer } = await log.open(unknown, { owner: 'anna', command: 'count', fingerprint: '', lease: true }) as any
  writer.append('start', '{}')
  writer.signal.addEventListener('abort', () => {
    for (let n = 0; n < 5; n++) writer.append('progress', String(n))
  })
  const answer = app.inject({ method: 'DELETE', url: `/streams/${unknown}`, headers: anna })
  await once(writer.signal, 'abort')
  setImmediate(() => writer.end('completed', '7'))
  t.match((await answer).json(), { state: 'completed', progressCount: 5, result: 7 })
})

/** A log whose answers take their time, as those of a log on another machine do. */
class SlowLog extends MemoryStreamLog {
  beforeRead = (): unknown => undefined

  override async read (streamId: string, options?: ReadLogOptions): Promise<LogReader> {
    await this.beforeRead()
    return await super.read(streamId, options)
  }
}

t.test('R52 finds the end of a stream that trims frames while it is looked for', async t => {
  const log = new SlowLog({ maxEntries: 1 })
  const { app } = await createKept(t, { plugin: { streamLog: log } })
  const { writer } = await log.open(unknown, { owner: 'anna', command: 'count', fingerprint: '', lease: true }) as any
  writer.append('start', '{}')
  let reads = 0
  log.beforeRead = () => {
    if (reads++ === 0) for (let n = 0; n < 3; n++) writer.append('progress', String(n))
    else writer.end('cancelled', '{"code":"MINE"}')
  }
  t.match((await app.inject({ method: 'DELETE', url: `/streams/${unknown}`, headers: anna })).json(), { state: 'cancelled', progressCount: 3, problem: { code: 'MINE' } })
  t.equal(reads, 2)
})

t.test('R52 answers 404 where the stream expires while its end is looked for', async t => {
  const clock = new ManualClock()
  const log = new SlowLog({ retainMs: 1 }, clock)
  const { app } = await createKept(t, { plugin: { streamLog: log } })
  const { writer } = await log.open(unknown, { owner: 'anna', command: 'count', fingerprint: '', lease: true }) as any
  log.beforeRead = async () => {
    await writer.end('cancelled', '{}')
    clock.advance(10)
  }
  t.equal((await app.inject({ method: 'DELETE', url: `/streams/${unknown}`, headers: anna })).statusCode, 404)
})

t.test('R52 cancels for a client that does not wait for the answer, and forgets it', async t => {
  const { app, log } = await createKept(t)
  const { writer } = await log.open(unknown, { owner: 'anna', command: 'count', fingerprint: '', lease: true }) as any
  writer.append('start', '{}')
  const client = new RawClient(await listen(app))
  client.request('DELETE', `/streams/${unknown}`, { headers: anna })
  await once(writer.signal, 'abort')
  if (!writer.hasReaders) await new Promise(resolve => writer.onReaders(resolve))
  const left = new Promise(resolve => writer.onReaders(resolve))
  client.socket.destroy()
  t.equal(await left, false)
  await writer.end('cancelled', '{}')
  t.match((await app.inject({ method: 'DELETE', url: `/streams/${unknown}`, headers: anna })).json(), { state: 'cancelled' })
})

t.test('answers 503 to who waits for the end of a stream when the app closes', async t => {
  const { app, log } = await createKept(t)
  const { writer } = await log.open(unknown, { owner: 'anna', command: 'count', fingerprint: '', lease: true }) as any
  const client = new RawClient(await listen(app))
  client.request('DELETE', `/streams/${unknown}`, { headers: anna })
  await once(writer.signal, 'abort')
  if (!writer.hasReaders) await new Promise(resolve => writer.onReaders(resolve))
  await app.close()
  await client.closed()
  t.match(client.text, /^HTTP\/1\.1 503 /)
  t.match(client.text, 'MEDIATOR_ERR_SHUTTING_DOWN')
})

for (const method of ['GET', 'DELETE']) {
  t.test(`gives the status that was asked for by ${method} to who reads it while the app closes, and waits for nobody who does not`, async t => {
    const size = 10_000_000
    const lengths: number[] = []
    // A reader has a second, which a busy machine may need for itself.
    for (let attempt = 0; attempt < 3 && !(lengths.at(-1)! > size); attempt++) {
      const { app, log } = await createKept(t, { log: { maxBytes: 100_000_000, maxTotalBytes: 100_000_000 } })
      const { writer } = await log.open(unknown, { owner: 'anna', command: 'count', fingerprint: '', lease: true }) as any
      await writer.end('completed', JSON.stringify('x'.repeat(size)))
      const port = await listen(app)
      const [reader, other] = await Promise.all([0, 1].map(async () => {
        const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {})
        socket.write(`${method} /streams/${unknown} HTTP/1.1\r\nhost: a\r\nx-user: anna\r\naccept: ${json}\r\n\r\n`)
        let length = 0
        socket.on('data', chunk => { length += chunk.length })
        await once(socket, 'data')
        socket.pause()
        return { socket, length: () => length }
      })) as [{ socket: Socket, length: () => number }, { socket: Socket, length: () => number }]
      const closed = app.close()
      reader.socket.resume()
      await closed
      if (!reader.socket.closed) await once(reader.socket, 'close')
      lengths.push(reader.length())
      t.ok(other.length() < size)
      other.socket.destroy()
    }
    t.comment(`bytes: ${lengths.join(', ')}`)
    t.ok(lengths.at(-1)! > size)
  })
}

t.test('R53 lists the streams of who asks, the newest first, page by page', async t => {
  const { app, gate, run, start } = await createKept(t)
  t.strictSame((await app.inject({ url: '/streams', headers: anna })).json(), { streams: [], next: null })
  gate.resolve()
  const ids: string[] = []
  for (let number = 0; number < 5; number++) {
    ids.unshift(await run(anna))
    await run(bert)
  }
  ids.unshift(await start(anna))
  const response = await app.inject({ url: '/streams', headers: anna })
  t.match(response.headers, { 'content-type': `${json}; charset=utf-8`, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  const all = response.json<{ streams: any[], next: string | null }>()
  t.strictSame(all.streams.map(({ streamId }) => streamId), ids)
  t.equal(all.next, null)
  t.strictSame(Object.keys(all.streams[1]), ['streamId', 'command', 'state', 'attempt', 'lastEventId', 'startedAt', 'endedAt', 'progressCount'], 'results are told one by one')
  const seen: string[] = []
  const sizes: number[] = []
  for (let after: string | null = ''; after !== null;) {
    const page: { streams: any[], next: string | null } = (await app.inject({ url: `/streams?limit=4${after === '' ? '' : `&after=${after}`}`, headers: anna })).json()
    seen.push(...page.streams.map(({ streamId }) => streamId))
    sizes.push(page.streams.length)
    after = page.next
  }
  t.strictSame(seen, ids)
  t.strictSame(sizes, [4, 2])
  t.equal((await app.inject({ url: '/streams/', headers: anna })).statusCode, 200)
  for (const query of ['limit=0', 'limit=101', 'limit=-1', 'limit=1.5', 'limit=1e1', 'limit=', 'limit=1&limit=2', `after=${'1'.repeat(101)}`, 'after=1&after=2', 'owner=bert', '__proto__=1']) {
    const refused = await app.inject({ url: `/streams?${query}`, headers: anna })
    t.strictSame([refused.statusCode, refused.headers['content-type']], [400, problem], query)
  }
  for (const after of ['nonsense', '-1', 'NaN', '%00', '0']) {
    t.strictSame((await app.inject({ url: `/streams?after=${after}`, headers: anna })).json(), { streams: [], next: null }, after)
  }
})

t.test('R53 answers 401 where nobody is signed in, and lists nothing where streams are public', async t => {
  const { app } = await createKept(t)
  const id = `/streams/${unknown}`
  for (const [method, url] of [['GET', '/streams'], ['GET', id], ['DELETE', id], ['HEAD', id]] as const) {
    const response = await app.inject({ method, url })
    t.equal(response.statusCode, 401)
    if (method !== 'HEAD') t.equal(response.json().code, 'MEDIATOR_ERR_OWNER_MISSING')
  }
  const open = await createKept(t, { plugin: { owner: 'public' } })
  const streamId = await open.start()
  t.equal((await open.app.inject('/streams')).statusCode, 404)
  t.equal((await open.app.inject({ method: 'DELETE', url: `/streams/${streamId}` })).json().state, 'cancelled')
})

t.test('R54 lets whoever knows its id read and cancel a public stream, signed in or not, and lists it for nobody', async t => {
  const { app, gate, run } = await createKept(t, { route: { owner: 'public' } })
  gate.resolve()
  const streamId = await run()
  for (const headers of [anna, bert, {}]) {
    t.equal(readFrames(await app.inject({ url: `/streams/${streamId}`, headers })).length, 4)
    t.equal((await app.inject({ method: 'DELETE', url: `/streams/${streamId}`, headers })).json().state, 'completed')
  }
  t.strictSame((await app.inject({ url: '/streams', headers: anna })).json().streams, [])
})

t.test('R54 does not show what has an owner on routes where everything is public', async t => {
  const { app, gate, run } = await createKept(t, { owner: 'public' })
  gate.resolve()
  const streamId = await run(anna)
  t.equal((await app.inject({ url: `/streams/${streamId}`, headers: anna })).statusCode, 404)
  t.equal((await app.inject({ method: 'DELETE', url: `/streams/${streamId}`, headers: anna })).statusCode, 404)
})

t.test('an owner is any text that is not empty, and never another one', async t => {
  const owners = ['a\r\nb', 'a\0', '\0', '__proto__', 'constructor', ' ', 'a:b', 'public', '*', 'ä', '\ud800', 'x'.repeat(10_000)]
  let current: unknown = ''
  const { app, gate, run } = await createKept(t, { plugin: { owner: () => current as string } })
  gate.resolve()
  const ids: string[] = []
  for (const owner of owners) {
    current = owner
    ids.push(await run())
  }
  for (const [index, owner] of owners.entries()) {
    current = owner
    const { streams } = (await app.inject('/streams')).json<{ streams: any[] }>()
    t.strictSame(streams.map(({ streamId }) => streamId), [ids[index]])
    for (const [other, streamId] of ids.entries()) {
      t.equal((await app.inject({ url: `/streams/${streamId}`, headers: { accept: json } })).statusCode, other === index ? 200 : 404)
    }
  }
  for (const wrong of ['', 7, null, {}]) {
    current = wrong
    for (const url of ['/streams', `/streams/${unknown}`]) {
      const response = await app.inject(url)
      t.strictSame([response.statusCode, response.json().detail], [500, undefined])
    }
  }
})

t.test('gives a stream in the style of the route that it was begun on', async t => {
  const { app, gate } = await createKept(t)
  gate.resolve()
  const Named = defineCommand({ name: 'named', input: Type.Object({}), progress: { tick: Type.Integer() }, result: Type.Object({ at: Type.Integer() }) })
  app.mediator.addHandler(Named, async function * () {
    yield { event: 'tick', data: 1 }
    return { at: 2 }
  })
  const names = { start: 'begin', complete: 'done', failed: 'error' }
  app.route(commandRoute(Named, { url: '/named', eventNames: names }))
  app.route(commandRoute(Named, { url: '/envelope', framing: 'envelope', eventNames: names }))
  for (const url of ['/named', '/envelope']) {
    const begun = await app.inject({ method: 'POST', url, payload: {}, headers: anna })
    const { id } = readFrames(begun)[0]!
    const streamId = id.slice(0, 22)
    for (const accept of [sse, ndjson]) {
      const replayed = await app.inject({ url: `/streams/${streamId}`, headers: { ...anna, accept } })
      t.strictSame(readFrames(replayed).map(({ event, data }) => event ?? data.type), ['begin', 'tick', 'done'])
      if (accept === sse) t.equal(replayed.body, begun.body, `${url} is the same, byte for byte`)
    }
    t.match((await app.inject({ url: `/streams/${streamId}`, headers: { ...anna, accept: json } })).json(), { state: 'completed', result: { at: 2 } })
  }
})

t.test('reads on after the frames that were trimmed while the reader was away, or says that they are gone', async t => {
  const { app, gate, start, log } = await createKept(t, { log: { maxEntries: 4 } })
  const streamId = await start(anna, 10)
  gate.resolve()
  const reader = await log.read(streamId)
  while (!reader.ended) {
    reader.take()
    await new Promise<void>(resolve => reader.onReady(resolve))
  }
  reader.close()
  const kept = await app.inject({ url: `/streams/${streamId}?lastEventId=${streamId}.8`, headers: anna })
  t.strictSame(readFrames(kept).map(({ id }) => id.slice(23)), ['9', '10', '11', '12.end'])
  t.match((await app.inject({ url: `/streams/${streamId}?lastEventId=${streamId}.7`, headers: anna })).json(), { status: 410, code: 'MEDIATOR_ERR_LOG_GAP', retryable: false })
})

t.test('keeps the owner apart from another of a route that has its own', async t => {
  const { app, gate, run } = await createKept(t)
  gate.resolve()
  await app.register(async scope => {
    await scope.register(streamRoutes, { prefix: '/mine', owner: request => `tenant:${headerOwner(request)}` })
  })
  const streamId = await run({ 'x-user': 'tenant:anna' })
  t.equal((await app.inject({ url: `/mine/${streamId}`, headers: anna })).statusCode, 200)
  t.equal((await app.inject({ url: `/streams/${streamId}`, headers: anna })).statusCode, 404)
})

t.test('gives a stream that another program has kept in the plain style', async t => {
  const { app, log } = await createKept(t)
  const opened = await log.open(unknown, { owner: 'anna', command: 'theirs', fingerprint: '', lease: true })
  if (opened.outcome !== 'created') throw new Error(opened.outcome)
  void opened.writer!.append('start', '{}')
  await opened.writer!.end('completed', '1')
  const { body } = await app.inject({ url: `/streams/${unknown}`, headers: anna })
  t.match(readFrames(body), [{ event: 'start' }, { event: 'complete', data: 1 }])
})
