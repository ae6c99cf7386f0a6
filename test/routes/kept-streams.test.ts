import { once } from 'node:events'
import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { commandRoute, defineCommand } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { KeptStreams } from '../../routes/kept-streams.js'
import { MemoryStreamLog } from '../../lib/memory-stream-log.js'
import { listen } from '../support/app.js'
import { createKeptApp } from '../support/kept-app.js'
import { RawClient } from '../support/raw-client.js'

const json = 'application/json'
const problem = 'application/problem+json'
const anna = { 'x-user': 'anna' }
const bert = { 'x-user': 'bert' }
const post = { method: 'POST', url: '/count', payload: { to: 2 } } as const

t.test('R55 knows the url of a stream only where a route reads it', async t => {
  const kept = new KeptStreams(new MemoryStreamLog(), '/api')
  t.equal(kept.urlOf('a'), undefined)
  kept.prefix = '/streams'
  t.equal(kept.urlOf('a'), '/api/streams/a')
})

t.test('R44 starts a command without a reader for who prefers that, and says where its stream is', async t => {
  const { app, ready, gate, started, log } = await createKeptApp(t)
  await ready()
  const accepted = await app.inject({ ...post, headers: { ...anna, prefer: 'respond-async' } })
  t.equal(accepted.statusCode, 202)
  const { streamId, url } = accepted.json()
  t.match(accepted.headers, {
    location: `/streams/${streamId}`, 'preference-applied': 'respond-async', 'content-type': `${json}; charset=utf-8`, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff'
  })
  t.equal(url, accepted.headers.location)
  t.equal((await log.stat(streamId))?.state, 'running')
  gate.resolve()
  t.equal(readFrames(await app.inject({ url, headers: anna })).length, 4)
  t.equal(started.length, 1)
})

t.test('R45 starts a command once for a key, and tells repeats of the same stream, or that they are none', async t => {
  const { app, ready, gate, started } = await createKeptApp(t)
  await ready()
  gate.resolve()
  const send = async (headers: object, payload: object = post.payload): Promise<Awaited<ReturnType<typeof app.inject>>> =>
    await app.inject({ ...post, payload, headers: { ...anna, ...headers } })
  const key = { 'idempotency-key': 'k1' }
  const first = await send(key)
  const [{ id }] = readFrames(first) as [any]
  const repeats = await Promise.all([send(key), send({ 'idempotency-key': '"k1"' }), send(key, { to: 2, label: 'n' })])
  for (const repeat of repeats) t.equal(repeat.body, first.body)
  t.equal((await send({ ...key, prefer: 'respond-async' })).json().streamId, id.slice(0, 22))
  t.equal(started.length, 1)
  const other = await send(key, { to: 3 })
  t.strictSame([other.statusCode, other.headers['content-type'], other.json().code], [422, problem, 'MEDIATOR_ERR_IDEMPOTENCY_MISMATCH'])
  t.not(readFrames(await send({ ...key, ...bert }))[0]!.id, id, 'the key of somebody else is another one')
  t.equal(started.length, 2)
  for (const wrong of ['', '""', 'a b', 'a'.repeat(256), 'é']) {
    const refused = await send({ 'idempotency-key': wrong })
    t.strictSame([refused.statusCode, refused.json().code], [400, 'MEDIATOR_ERR_MALFORMED_IDEMPOTENCY_KEY'], wrong)
  }
  const failed = await send({ 'idempotency-key': 'k2' }, { to: 404 })
  t.strictSame(readFrames(await send({ 'idempotency-key': 'k2' }, { to: 404 })), readFrames(failed), 'a run that failed is remembered')
  t.equal(started.length, 3)
})

t.test('R46 reads on where a client was, on the route of its command, and starts nothing for anybody', async t => {
  const { app, ready, gate, started, run } = await createKeptApp(t)
  await ready()
  const Other = defineCommand({ name: 'other', input: Type.Object({}) })
  app.mediator.addHandler(Other, () => null)
  app.route(commandRoute(Other, { url: '/other' }))
  gate.resolve()
  const streamId = await run(anna)
  const resume = async (lastEventId: string, headers: object = anna, request: object = {}): Promise<Awaited<ReturnType<typeof app.inject>>> =>
    await app.inject({ ...post, headers: { ...headers, 'last-event-id': lastEventId }, ...request })
  t.strictSame(readFrames(await resume(`${streamId}.2`)).map(({ id }) => id.slice(23)), ['3', '4.end'])
  t.match((await resume(`${streamId}.2`, { ...anna, accept: json })).json(), { total: 2 })
  for (const [what, response, status] of [
    ['somebody else', await resume(`${streamId}.2`, bert), 404],
    ['another command', await resume(`${streamId}.2`, anna, { url: '/other', payload: {} }), 404],
    ['a stream that never was', await resume('AAAAAAAAAAAAAAAAAAAAAA.2'), 404],
    ['another key', await resume(`${streamId}.2`, { ...anna, 'idempotency-key': 'k' }), 400],
    ['a frame that never was', await resume(`${streamId}.9`), 410],
    ['the end', await resume(`${streamId}.4.end`), 204]
  ] as const) t.equal(response.statusCode, status, what)
  t.equal(started.length, 1)
})

t.test('R57 ends the answer of a reader who was waited for too long, without an id, and not the stream', async t => {
  const { app, ready, log, clock } = await createKeptApp(t, { log: { maxEntries: 4, maxBytes: 10_000_000 } })
  await ready()
  const Long = defineCommand({ name: 'long', input: Type.Object({}), progress: Type.String() })
  const text = 'x'.repeat(500_000)
  app.mediator.addHandler(Long, async function * () { for (let n = 0; n < 60; n++) yield text })
  app.route(commandRoute(Long, { url: '/long' }))
  const port = await listen(app)
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write('POST /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-user: anna\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}')
  const chunks: Buffer[] = []
  socket.on('data', chunk => { chunks.push(chunk) })
  await once(socket, 'data')
  socket.pause()
  // The one timer of this log, before anything has ended, is for a reader that does not read.
  while (clock.timers === 0) await turn()
  const { streams: [running] } = await log.list('anna', { limit: 1 })
  t.equal(running!.state, 'running')
  clock.advance(60_000)
  while ((await log.stat(running!.streamId))!.endedAt === undefined) await turn()
  socket.resume()
  await once(socket, 'close')
  const body = Buffer.concat(chunks).toString()
  const frames = body.split('\n\n').filter(frame => frame.includes('data: '))
  t.match(frames.at(-1), 'MEDIATOR_ERR_LOG_GAP')
  t.match(frames.at(-1), 'event: failed\ndata: {')
  t.notOk(frames.at(-1)!.includes('\nid: '))
  t.ok(frames.length < 60, `${frames.length} frames`)
  const status = await app.inject({ url: `/streams/${running!.streamId}`, headers: { ...anna, accept: json } })
  t.match(status.json(), { state: 'completed', progressCount: 60, result: null })
})

t.test('R58 ends a stream that nobody reads for its grace, and none that somebody does', async t => {
  const { app, ready, log, start } = await createKeptApp(t, { route: { onDisconnect: { graceMs: 100 } } })
  await ready()
  const port = await listen(app)
  const client = new RawClient(port)
  client.request('POST', '/count', { headers: anna, body: { to: 2 } })
  await client.until('"n":1')
  const read = readFrames(client.body)[0]!.id.slice(0, 22)
  const alone = await start(anna)
  // An operator looks on without being a reader.
  while ((await log.stat(alone))!.endedAt === undefined) await turn()
  const { state, problem } = (await app.inject({ url: `/streams/${alone}`, headers: { ...anna, accept: json } })).json()
  t.match([state, problem], ['failed', { status: 410, code: 'MEDIATOR_ERR_ABANDONED', retryable: false }])
  t.equal((await log.stat(read))!.state, 'running')
  client.socket.destroy()
  while ((await log.stat(read))!.endedAt === undefined) await turn()
  t.match((await app.inject({ url: `/streams/${read}`, headers: anna })).body, 'MEDIATOR_ERR_ABANDONED')
})
