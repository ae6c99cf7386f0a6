import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import Fastify from 'fastify'
import streamingMediator, { MemoryStreamLog, commandRoute, defineEvent, streamRoutes } from '../../index.js'
import type { Handler, OnDisconnect } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { isOnDisconnect } from '../../routes/on-disconnect.js'
import { Count, createApp, deferred, listen } from '../support/app.js'
import { namesOf } from '../support/frames.js'
import { ask, createKept, listenTo } from '../support/kept.js'
import { RawClient } from '../support/raw-client.js'
import { StreamEnds, nothing } from '../support/stream-ends.js'

const Counted = defineEvent({ name: 'disconnect.counted', payload: Type.Object({ n: Type.Integer() }) })

/** Counts to one, then waits for what the test decides, or for its signal. */
function waiting (): { handler: Handler<typeof Count>, gate: ReturnType<typeof deferred<void>>, aborted: Promise<unknown>, runs: () => number } {
  const gate = deferred<void>()
  const aborted = deferred<unknown>()
  let runs = 0
  return {
    gate,
    aborted: aborted.promise,
    runs: () => runs,
    async * handler (_input, { signal }) {
      runs++
      const left = sleep(60_000, undefined, { signal, ref: false })
      signal.addEventListener('abort', () => aborted.resolve(signal.reason), { once: true })
      yield { n: 1 }
      await Promise.race([gate.promise, left])
      yield { n: 2 }
      return { total: 2 }
    }
  }
}

function idIn (client: RawClient): string {
  return /"streamId":"([\w-]{22})"/.exec(client.text)![1]!
}

t.test('knows the three things that may become of a stream', async t => {
  for (const option of ['abort', 'continue', { graceMs: 0 }, { graceMs: 2 ** 31 - 1 }]) t.equal(isOnDisconnect(option), true, JSON.stringify(option))
  for (const option of [undefined, null, true, 5, '', 'Continue', {}, [], { graceMs: -1 }, { graceMs: 0.5 }, { graceMs: '1' }, { graceMs: 2 ** 31 },
    { graceMs: NaN }, { graceMs: null }, { graceMs: 1, grace: 2 }]) {
    t.equal(isOnDisconnect(option), false, JSON.stringify(option))
  }
})

t.test('refuses anything else when the route or the plugin is made', async t => {
  const onDisconnect = 'keep' as OnDisconnect
  t.throws(() => commandRoute(Count, { url: '/count', onDisconnect }), { code: 'MEDIATOR_ERR_INVALID_ROUTE', message: /onDisconnect/ })
  await t.rejects(async () => await Fastify().register(streamingMediator, { onDisconnect }), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /onDisconnect/ })
  for (const streamLog of [null, {}]) {
    await t.rejects(async () => await Fastify().register(streamingMediator, { streamLog: streamLog as never }), { message: /streamLog must be a StreamLog/ })
  }
})

for (const [where, plugin, route] of [
  ['the route', {}, { onDisconnect: 'continue' }],
  ['the plugin', { onDisconnect: { graceMs: 5 } }, {}]
] as const) {
  t.test(`fails at boot where ${where} keeps streams that nobody would own`, async t => {
    const { app } = await createApp(t, plugin)
    app.mediator.addHandler(Count, async function * () { return { total: 0 } })
    t.throws(() => app.route(commandRoute(Count, { url: '/count', ...route })), { code: 'MEDIATOR_ERR_INVALID_ROUTE', message: /owner/ })
    app.route(commandRoute(Count, { url: '/abort', onDisconnect: 'abort' }))
    app.route(commandRoute(Count, { url: '/owned', ...route, owner: 'public' }))
    await app.ready()
  })
}

t.test('answers a coded 500 where a route was there before the plugin, and keeps streams that nobody would own', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.route(commandRoute(Count, { url: '/count', onDisconnect: 'continue' }))
  await app.register(streamingMediator)
  app.mediator.addHandler(Count, async function * () { return { total: 0 } })
  const { statusCode, json } = await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })
  t.match([statusCode, json()], [500, { code: 'MEDIATOR_ERR_INVALID_ROUTE' }])
})

t.test('keeps nothing of a stream that ends with its client, and says that it cannot be resumed', async t => {
  const { app, log, ends } = await createKept(t, { onDisconnect: 'abort' })
  const { handler, aborted } = waiting()
  app.mediator.addHandler(Count, handler)
  const client = new RawClient(await listenTo(app))
  client.request('POST', '/count', { body: { to: 1 } })
  await client.until('"n":1')
  t.equal(log.size, 0)
  t.match(readFrames(client.body)[0]!.data, { resumable: false, url: undefined })
  t.notMatch(client.text, 'retry:')
  const id = idIn(client)
  client.socket.destroy()
  t.match(await aborted, { reason: 'client-closed' })
  t.match(await ends.until(1), [{ reason: 'client-closed', streamId: id }])
  t.equal((await app.inject(`/streams/${id}`)).statusCode, 404)
})

for (const [where, plugin, route] of [
  ['of its route', { onDisconnect: 'abort' }, { onDisconnect: 'continue' }],
  ['of the plugin', { onDisconnect: 'continue' }, {}]
] as const) {
  t.test(`goes on to its end without a reader, by the option ${where}`, async t => {
    const { app, ends, logs } = await createKept(t, plugin)
    const { handler, gate, runs } = waiting()
    app.mediator.addHandler(Count, handler)
    const port = await listenTo(app, route)
    const client = new RawClient(port)
    client.request('POST', '/count', { body: { to: 1 } })
    await client.until('"n":1')
    const id = idIn(client)
    client.socket.resetAndDestroy()
    gate.resolve()
    t.match(await ends.until(1), [{ reason: 'completed', frames: 4, error: undefined }])
    const { frames } = await ask(port, `/streams/${id}`, { method: 'GET', headers: { 'last-event-id': `${id}.2` } })
    t.strictSame(frames.map(frame => frame.data), [{ n: 2 }, { total: 2 }])
    t.equal(runs(), 1)
    t.strictSame(app.mediator.stats(), nothing)
    t.strictSame(logs.filter(({ level }) => level >= 40), [])
  })
}

t.test('ends a stream that nobody has read for its grace, as abandoned', async t => {
  const { app, ends, logs } = await createKept(t, { onDisconnect: { graceMs: 30 } })
  const { handler, aborted } = waiting()
  const handled: number[] = []
  app.mediator.addEventHandler(Counted, ({ payload: { n } }) => { handled.push(n) })
  app.mediator.addHandler(Count, async function * (input, context) {
    context.emit(Counted, { n: 1 })
    return yield * handler(input, context) as AsyncGenerator<{ n: number }, { total: number }>
  })
  const port = await listenTo(app)
  const client = new RawClient(port)
  client.request('POST', '/count', { body: { to: 1 } })
  await client.until('"n":1')
  const id = idIn(client)
  const leftAt = performance.now()
  client.socket.destroy()
  t.match(await aborted, { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'abandoned' })
  t.ok(performance.now() - leftAt >= 29, 'not before')
  t.match(await ends.until(1), [{ reason: 'abandoned', frames: 3, events: 1 }])
  t.strictSame(handled, [1], 'what it had emitted is handled')
  const { json } = await ask(port, `/streams/${id}`, { method: 'GET', headers: { accept: 'application/json' } })
  t.match(json, { state: 'failed', problem: { status: 410, code: 'MEDIATOR_ERR_ABANDONED', retryable: false, instance: id } })
  const { frames } = await ask(port, `/streams/${id}`, { method: 'GET' })
  t.strictSame(namesOf(frames), ['start', 'progress', 'failed'])
  t.match(logs.filter(({ msg }) => msg === 'stream ended'), [{ level: 30, reason: 'abandoned', streamId: id, command: 'count' }])
  t.strictSame(app.mediator.stats(), nothing)
})

t.test('counts the grace from the 202, where nobody reads at all', async t => {
  const { app, ends } = await createKept(t, { onDisconnect: { graceMs: 10 } })
  const { handler } = waiting()
  app.mediator.addHandler(Count, handler)
  const port = await listenTo(app)
  const { status, json: { url, streamId } } = await ask(port, '/count', { headers: { prefer: 'respond-async' } })
  t.equal(status, 202)
  t.match(await ends.until(1), [{ reason: 'abandoned', streamId }])
  t.match((await ask(port, url, { method: 'GET', headers: { accept: 'application/json' } })).json, { problem: { code: 'MEDIATOR_ERR_ABANDONED' } })
})

for (const accept of ['text/event-stream', 'application/x-ndjson', 'application/json']) {
  t.test(`has its first reader before its grace can be over, however short that is: ${accept}`, async t => {
    const { app, ends } = await createKept(t, { onDisconnect: { graceMs: 0 } })
    app.mediator.addHandler(Count, async function * () {
      // Long enough for a grace that has begun.
      for (let n = 1; n <= 5; n++) {
        await sleep(2)
        yield { n }
      }
      return { total: 5 }
    })
    const port = await listenTo(app)
    t.match((await ask(port, '/count', { headers: { accept } })).text, '{"total":5}')
    t.strictSame(ends.reasons, ['completed'])
  })
}

t.test('stops the grace when a reader comes back, and begins it anew when that one leaves', async t => {
  const graceMs = 150
  const { app, ends, log } = await createKept(t, { onDisconnect: { graceMs } })
  const { handler } = waiting()
  app.mediator.addHandler(Count, handler)
  const port = await listenTo(app)
  const first = new RawClient(port)
  first.request('POST', '/count', { body: { to: 1 } })
  await first.until('"n":1')
  const id = idIn(first)
  first.socket.destroy()
  const second = new RawClient(port)
  second.request('GET', `/streams/${id}`)
  await second.until('"n":1')
  // Longer than the grace, with a reader.
  await sleep(graceMs * 2)
  t.equal((await log.stat(id))!.state, 'running')
  const leftAt = performance.now()
  second.socket.destroy()
  t.match(await ends.until(1), [{ reason: 'abandoned' }])
  t.ok(performance.now() - leftAt >= graceMs - 1)
})

t.test('ends as abandoned also where its client of JSON has left', async t => {
  const { app, ends, logs } = await createKept(t, { onDisconnect: { graceMs: 10 } })
  const started = deferred()
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    started.resolve()
    await sleep(60_000, undefined, { signal })
    return { total: 0 }
  })
  const client = new RawClient(await listenTo(app))
  client.request('POST', '/count', { body: { to: 1 }, headers: { accept: 'application/json' } })
  await started.promise
  client.socket.destroy()
  t.match(await ends.until(1), [{ reason: 'abandoned' }])
  await turn()
  t.strictSame(logs.filter(({ level }) => level >= 40), [])
})

for (const accept of ['text/event-stream', 'application/x-ndjson', 'application/json']) {
  t.test(`lets go of a client that has left before its stream began, which then has no reader: ${accept}`, async t => {
    const asked = deferred()
    const { app, ends, logs } = await createKept(t, {
      onDisconnect: { graceMs: 10 },
      caller: async ({ socket }) => {
        asked.resolve()
        while (!socket.destroyed) await sleep(1)
        await turn()
        return undefined
      }
    })
    const { handler } = waiting()
    app.mediator.addHandler(Count, handler)
    const client = new RawClient(await listenTo(app))
    client.request('POST', '/count', { body: { to: 1 }, headers: { accept } })
    await asked.promise
    client.socket.destroy()
    t.match(await ends.until(1), [{ reason: 'abandoned' }])
    t.strictSame(logs.filter(({ level }) => level >= 40), [])
    t.strictSame(app.mediator.stats(), nothing)
  })
}

t.test('makes the handler wait for a client that does not read, rather than trim what it has not read', async t => {
  const text = 'x'.repeat(10_000)
  const log = new MemoryStreamLog({ maxEntries: 5 })
  const { app } = await createKept(t, { streamLog: log })
  let yielded = 0
  app.mediator.addHandler(Count, async function * ({ to }) {
    for (let n = 1; n <= to; n++) {
      yielded = n
      yield { n, text }
    }
    return { total: to }
  })
  const client = new RawClient(await listenTo(app))
  client.socket.pause()
  client.request('POST', '/count', { body: { to: 2_000 }, headers: { connection: 'close' } })
  const unchanged = async (): Promise<number> => {
    for (let before = -1; ; before = yielded) {
      if (yielded > 0 && yielded === before) return yielded
      await sleep(100)
    }
  }
  const waitsAt = await unchanged()
  t.ok(waitsAt < 2_000, `it waits at ${waitsAt}`)
  client.socket.resume()
  await client.closed()
  t.equal(readFrames(client.body).length, 2_002)
})

t.test('does not wait for a client that was cut as stalled, which is told of the gap when it comes back', async t => {
  const text = 'x'.repeat(100_000)
  const log = new MemoryStreamLog({ maxEntries: 5, stallTimeoutMs: 60_000 })
  const { app, ends } = await createKept(t, { streamLog: log, stallTimeoutMs: 100 })
  app.mediator.addHandler(Count, async function * ({ to }) {
    for (let n = 1; n <= to; n++) yield { n, text }
    return { total: to }
  })
  const port = await listenTo(app)
  const client = new RawClient(port)
  client.socket.pause()
  client.request('POST', '/count', { body: { to: 200 } })
  t.match(await ends.until(1), [{ reason: 'completed' }])
  const { streamId } = (await log.list('', { limit: 1 })).streams[0]!
  const resumed = async (headers: Record<string, string>): Promise<unknown> => {
    const { status, json } = await ask(port, `/count?lastEventId=${streamId}.2`, { headers })
    return { status, code: json.code }
  }
  t.strictSame(await resumed({}), { status: 410, code: 'MEDIATOR_ERR_LOG_GAP' })
  t.equal((await ask(port, `/count?lastEventId=${streamId}.201`)).frames.length, 1, 'what is kept can be read')
  client.socket.destroy()
})

for (const [accept, end] of [
  ['text/event-stream', /\nevent: failed\ndata: (\{[^\n]*\})\n\n$/],
  ['application/x-ndjson', /\n\{"event":"failed","data":(\{[^\n]*\})\}\n$/]
] as const) {
  t.test(`tells a reader that reads again of its gap in a frame without an id: ${accept}`, async t => {
    const text = 'x'.repeat(100_000)
    // The log gives its reader up long before the reply would.
    const log = new MemoryStreamLog({ maxEntries: 5, stallTimeoutMs: 50 })
    const { app, ends } = await createKept(t, { streamLog: log, stallTimeoutMs: 60_000 })
    app.mediator.addHandler(Count, async function * ({ to }) {
      for (let n = 1; n <= to; n++) yield { n, text }
      return { total: to }
    })
    const port = await listenTo(app)
    const client = new RawClient(port)
    client.socket.pause()
    client.request('POST', '/count', { body: { to: 200 }, headers: { accept, connection: 'close' } })
    await ends.until(1)
    client.socket.resume()
    await client.closed()
    const match = end.exec(client.body)
    t.match(JSON.parse(match?.[1] ?? '{}'), { status: 410, code: 'MEDIATOR_ERR_LOG_GAP', retryable: false })
    const before = client.body.slice(0, match!.index + 1)
    const frames = readFrames(before)
    t.ok(frames.length > 1 && frames.length < 202, `${frames.length} frames came before`)
    t.equal((await log.stat(frames[0]!.data.streamId))!.state, 'completed', 'the stream itself has not failed')
  })
}

t.test('loses no reader and no timer, whenever clients leave', async t => {
  const { app, log } = await createKept(t, { onDisconnect: { graceMs: 20 }, commitAfterMs: 1_000 })
  const ends = new StreamEnds(app.mediator)
  app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    for (let n = 1; n <= to; n++) {
      yield { n }
      await sleep(1)
    }
    await sleep(60_000, undefined, { signal })
    return { total: 0 }
  })
  const port = await listenTo(app)
  const accepts = ['text/event-stream', 'application/x-ndjson', 'application/json']
  for (let n = 0; n < 60; n++) {
    const client = new RawClient(port)
    client.request('POST', '/count', { body: { to: n % 4 }, headers: { accept: accepts[n % 3]! } })
    // Some leave before the server has seen them, some before the commit, some later.
    for (let turns = n % 10; turns > 0; turns--) await turn()
    if (n % 2 === 0) client.socket.destroy()
    else client.socket.resetAndDestroy()
  }
  // Of those whose request was not read nothing was begun.
  while (app.mediator.stats().streams > 0 || ends.all.length === 0) await sleep(20)
  t.ok(ends.reasons.every(reason => reason === 'abandoned'), `${ends.all.length} began`)
  t.strictSame(app.mediator.stats(), nothing)
  t.equal(log.size, ends.all.length)
})

t.test('an app that does not register the streams routes keeps its streams all the same', async t => {
  const log = new MemoryStreamLog()
  const { app } = await createApp(t, { onDisconnect: 'continue', owner: 'public', streamLog: log })
  app.mediator.addHandler(Count, async function * () { return { total: 0 } })
  app.route(commandRoute(Count, { url: '/count' }))
  app.route(commandRoute(Count, { url: '/get', method: 'GET', crossSite: true }))
  const port = await listen(app)
  const posted = await ask(port, '/count')
  t.match(posted.frames[0]!.data, { resumable: false, url: undefined }, 'a browser could not read it again')
  t.notMatch(posted.text, 'retry:')
  const got = await ask(port, '/get?to=1', { method: 'GET' })
  t.match(got.frames[0]!.data, { resumable: true, url: undefined }, 'by its own url it can')
  t.match(got.text, /\nretry: 2000\n/)
  const { id } = got.frames[0]!
  t.strictSame(namesOf((await ask(port, '/get?to=1', { method: 'GET', headers: { 'last-event-id': id } })).frames), ['complete'])
  t.strictSame((await ask(port, '/count', { headers: { prefer: 'respond-async' } })).status, 200, 'there is no url to tell')
})

t.test('tells the url of a stream as its client sees it', async t => {
  const { app } = await createApp(t, { onDisconnect: 'continue', owner: 'public', publicPrefix: '/api/v1' })
  await app.register(async scope => { await scope.register(streamRoutes, { prefix: '/streams' }) }, { prefix: '/deep' })
  app.mediator.addHandler(Count, async function * () { return { total: 0 } })
  app.route(commandRoute(Count, { url: '/count' }))
  const { frames, text } = await ask(await listen(app), '/count')
  const { data } = frames[0]!
  t.strictSame(data, {
    streamId: data.streamId,
    command: 'count',
    attempt: 1,
    resumable: true,
    url: `/api/v1/deep/streams/${data.streamId}`,
    heartbeatMs: 15_000
  })
  t.match(text, /^event: start\nid: [\w-]{22}\.1\nretry: 2000\ndata: /)
  t.equal(text.split('retry:').length, 2)
})
