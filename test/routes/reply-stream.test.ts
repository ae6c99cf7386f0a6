import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { PassThrough, Readable } from 'node:stream'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import streamingMediator, { commandRoute, defineCommand, defineEvent } from '../../index.js'
import { Count, createApp, createLog, deferred, listen } from '../support/app.js'
import { readFrames } from '../../lib/testing/index.js'
import { namesOf } from '../support/frames.js'
import { RawClient } from '../support/raw-client.js'

const Counted = defineEvent({ name: 'counted', payload: Type.Object({ n: Type.Integer() }) })
const post = { body: { to: 1 } }

// Resolves when a count has begun and stood still: nobody tells when a socket's buffers are full.
async function unchanged (count: () => number): Promise<number> {
  for (let before = 0; ; before = count()) {
    await sleep(50)
    if (count() > 0 && count() === before) return before
  }
}

const ours = (line: { msg: string }): boolean => line.msg === 'stream ended'

t.test('writes what is ready in one turn of the event loop at once, and a lone frame within its turn', async t => {
  const { app } = await createApp(t)
  let gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    yield { n: 2 }
    yield { n: 3 }
    await gate.promise
    yield { n: 4 }
    await turn()
    return { total: 4 }
  })
  const writes: string[] = []
  app.route(commandRoute(Count, {
    url: '/count',
    preHandler: async (_request, reply) => {
      const write = reply.raw.write.bind(reply.raw) as (chunk: unknown) => boolean
      reply.raw.write = (chunk: unknown) => {
        writes.push(String(chunk))
        return write(chunk)
      }
    }
  }))
  const port = await listen(app)
  // A turn that takes longer than 5 ms, as on a busy machine, is two writes.
  for (let attempt = 1, whole = false; !whole; attempt++) {
    writes.length = 0
    gate = deferred()
    const client = new RawClient(port)
    client.request('POST', '/count', post)
    await client.until('"n":3')
    whole = writes.length === 1 || attempt === 20
    if (whole) {
      t.equal(writes.length, 1, `start and three frames, at attempt ${attempt}`)
      t.strictSame(namesOf(readFrames(writes[0]!)), ['start', 'progress', 'progress', 'progress'])
    }
    const before = writes.length
    gate.resolve()
    await turn()
    t.equal(writes.length, before + 1)
    t.strictSame(readFrames(writes[before]!)[0]!.data, { n: 4 })
    await client.until('event: complete')
    client.socket.destroy()
  }
})

for (const how of ['FIN', 'RST'] as const) {
  t.test(`ends the work within 50 ms when its client leaves by ${how} between two frames`, async t => {
    const { app, logs } = await createApp(t)
    const ended = deferred<{ at: number, reason: unknown }>()
    app.mediator.addHandler(Count, async function * (_input, { signal }) {
      try {
        for (let n = 1; ; n++) {
          yield { n }
          await sleep(10_000, undefined, { signal })
        }
      } finally {
        ended.resolve({ at: performance.now(), reason: signal.reason })
      }
    })
    app.route(commandRoute(Count, { url: '/count' }))
    const client = new RawClient(await listen(app))
    client.request('POST', '/count', post)
    await client.until('"n":1')
    const leftAt = performance.now()
    if (how === 'RST') client.socket.resetAndDestroy()
    else client.socket.destroy()
    const { at, reason } = await ended.promise
    t.ok(at - leftAt < 50, `${(at - leftAt).toFixed(1)} ms`)
    t.match(reason, { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'client-closed' })
    t.match(logs.filter(ours), [{ level: 30, command: 'count', streamId: /^[\w-]{22}$/, reason: 'client-closed' }])
    await turn()
    t.strictSame(logs.filter(line => line.level >= 40), [])
  })
}

t.test('stops a generator whose reader does not read, and ends it within 50 ms when that reader leaves', async t => {
  const { app, logs } = await createApp(t)
  const ended = deferred<number>()
  let yielded = 0
  const text = 'x'.repeat(1_000)
  app.mediator.addHandler(Count, async function * () {
    try {
      for (;;) yield { n: ++yielded, text }
    } finally {
      ended.resolve(performance.now())
    }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.socket.pause()
  client.request('POST', '/count', post)
  await unchanged(() => yielded)
  t.ok(yielded < 20_000, `${yielded} KB were made for the kernel's and the socket's buffers`)
  const leftAt = performance.now()
  client.socket.resetAndDestroy()
  const at = await ended.promise
  t.ok(at - leftAt < 50, `${(at - leftAt).toFixed(1)} ms`)
  t.match(logs.filter(ours), [{ level: 30, reason: 'client-closed' }])
  t.strictSame(logs.filter(line => line.level >= 40), [])
})

t.test('goes on where it was when a slow reader reads again', async t => {
  const { app } = await createApp(t)
  const text = 'x'.repeat(10_000)
  app.mediator.addHandler(Count, async function * ({ to }) {
    for (let n = 1; n <= to; n++) yield { n, text }
    return { total: to }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  const response = await fetch(`http://127.0.0.1:${port}/count`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"to":2000}' })
  let body = ''
  let chunks = 0
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    body += chunk
    if (++chunks % 50 === 0) await sleep(5)
  }
  const frames = readFrames(body)
  t.equal(frames.length, 2_002)
  t.ok(frames.every(({ id }, index) => id.split('.')[1] === String(index + 1)), 'numbered without gaps')
})

t.test('adds one line and no error when the client leaves before the commit', async t => {
  const { app, logs } = await createApp(t, { commitAfterMs: Infinity })
  const started = deferred()
  const ended = deferred()
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    started.resolve()
    try {
      await sleep(10_000, undefined, { signal })
    } finally {
      ended.resolve()
    }
    yield { n: 1 }
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', post)
  await started.promise
  client.socket.destroy()
  await ended.promise
  await turn()
  t.match(logs.filter(ours), [{ level: 30, reason: 'client-closed' }])
  t.strictSame(logs.filter(line => line.level >= 40), [])
})

t.test('commits after commitAfterMs without a yield, and tells a later failure in a frame', async t => {
  const { app, logs } = await createApp(t, { commitAfterMs: 20 })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    await gate.promise
    throw Object.assign(new Error('Gone'), { statusCode: 410 })
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', post)
  await client.until('event: start')
  gate.resolve()
  await client.until('event: failed')
  await client.until('0\r\n\r\n')
  const failed = readFrames(client.body).at(-1)!
  t.match(failed, { event: 'failed', id: /\.2\.end$/, data: { status: 410, detail: 'Gone', code: 'GONE', retryable: false } })
  t.equal(failed.data.instance, failed.id.split('.')[0])
  t.match(logs.filter(ours), [{ level: 30, reason: 'failed', err: { message: 'Gone' } }])
  client.socket.destroy()
})

t.test('waits for the first yield when a route commits after Infinity', async t => {
  const { app } = await createApp(t, { commitAfterMs: 1 })
  app.mediator.addHandler(Count, async function * () {
    await sleep(100)
    throw Object.assign(new Error('Late'), { statusCode: 409 })
  })
  app.route(commandRoute(Count, { url: '/count', commitAfterMs: Infinity }))
  t.equal((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).statusCode, 409)
})

t.test('logs a failure of the server as an error and hides it from the client', async t => {
  const { app, logs } = await createApp(t)
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    throw new Error('secret')
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const { body } = await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })
  t.notMatch(body, /secret/)
  const failed = readFrames(body).at(-1)!
  t.match(logs.filter(ours), [{ level: 50, streamId: failed.data.instance, err: { message: 'secret' } }])
})

t.test('does not hold back progress for its events, and completes when the last has settled', async t => {
  const { app } = await createApp(t)
  let running = 0
  let peak = 0
  let handled = 0
  app.mediator.addEventHandler(Counted, async () => {
    peak = Math.max(peak, ++running)
    await sleep(100)
    running--
    handled++
  })
  const times: number[] = []
  app.mediator.addHandler(Count, async function * ({ to }, { emit }) {
    for (let n = 1; n <= to; n++) {
      await sleep(5)
      for (let each = 0; each < 3; each++) emit(Counted, { n })
      times.push(performance.now())
      yield { n }
    }
    return { total: to }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', { body: { to: 20 } })
  await client.until('"n":20')
  const lastProgressAt = performance.now()
  t.ok(handled < 60, 'progress does not wait')
  await client.until('event: complete')
  t.equal(handled, 60)
  t.equal(peak, 10)
  t.ok(performance.now() - lastProgressAt > 100, 'complete does')
  t.ok(lastProgressAt - times.at(-1)! < 50, `${(lastProgressAt - times.at(-1)!).toFixed(1)} ms from the last yield to its frame`)
  client.socket.destroy()
})

t.test('tells of a failing event handler when its siblings have settled', async t => {
  const { app } = await createApp(t)
  let settled = 0
  app.mediator.addEventHandler(Counted, async ({ payload }) => {
    await sleep(20 * payload.n)
    settled++
    if (payload.n === 1) throw new Error('secret')
  })
  app.mediator.addHandler(Count, async function * (_input, { emit }) {
    for (const n of [1, 2, 3]) emit(Counted, { n })
    for (let n = 1; ; n++) {
      await sleep(5)
      yield { n }
    }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const { body } = await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })
  t.match(readFrames(body).at(-1), { event: 'failed', data: { status: 500, code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED' } })
  t.equal(settled, 3)
})

t.test('waits with the failed frame until the events of a failed stream have settled', async t => {
  const { app } = await createApp(t)
  let handled = false
  app.mediator.addEventHandler(Counted, async () => {
    await sleep(30)
    handled = true
  })
  app.mediator.addHandler(Count, async function * (_input, { emit }) {
    yield { n: 1 }
    emit(Counted, { n: 1 })
    throw new Error('no')
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', post)
  await client.until('event: failed')
  t.ok(handled)
  client.socket.destroy()
})

t.test('forgets the failed frame when the client leaves before it', async t => {
  const { app, logs } = await createApp(t)
  const handling = deferred()
  const gate = deferred()
  const handled = deferred()
  app.mediator.addEventHandler(Counted, async () => {
    handling.resolve()
    await gate.promise
    handled.resolve()
  })
  app.mediator.addHandler(Count, async function * (_input, { emit }) {
    yield { n: 1 }
    emit(Counted, { n: 1 })
    throw new Error('no')
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', post)
  await handling.promise
  client.socket.destroy()
  await once(client.socket, 'close')
  gate.resolve()
  await handled.promise
  await app.close()
  t.match(logs.filter(ours), [{ level: 50, reason: 'failed', err: { message: 'no' } }])
})

t.test('does not let a generator that never awaits starve other clients', async t => {
  const { app } = await createApp(t)
  let yielded = 0
  app.mediator.addHandler(Count, async function * () {
    for (;;) yield { n: ++yielded }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  app.get('/ping', () => 'pong')
  const port = await listen(app)
  const greedy = new RawClient(port)
  greedy.request('POST', '/count', post)
  await greedy.until('"n":100')
  greedy.socket.removeAllListeners('data').resume()
  for (let ping = 0; ping < 5; ping++) {
    const before = yielded
    const client = new RawClient(port)
    client.request('GET', '/ping')
    await client.until('pong')
    // Counted in yields, which a busy machine does not change: a ping takes a few turns of the event loop.
    t.ok(yielded - before < 5_000, `${yielded - before} yields during a ping`)
    client.socket.destroy()
  }
  greedy.socket.destroy()
})

t.test('does not let a generator that yields nothing but undefined, or works between its yields, starve other clients', async t => {
  const { app } = await createApp(t)
  app.mediator.addHandler(Count, async function * ({ to }) {
    for (;;) {
      const until = performance.now() + to
      while (performance.now() < until);
      yield undefined
    }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  app.get('/ping', () => 'pong')
  const port = await listen(app)
  for (const to of [0, 3]) {
    const greedy = new RawClient(port)
    greedy.request('POST', '/count', { body: { to } })
    await greedy.until('event: start')
    const client = new RawClient(port)
    client.request('GET', '/ping')
    await client.until('pong')
    client.socket.destroy()
    greedy.socket.destroy()
    await greedy.closed()
  }
  t.pass('both pings were answered')
})

t.test('sends a comment when nothing else was sent for heartbeatMs', async t => {
  const { app } = await createApp(t, { heartbeatMs: 30 })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    await gate.promise
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  const client = new RawClient(port)
  client.request('POST', '/count', post)
  await client.until('"heartbeatMs":30')
  await client.until(':\n\n')
  const lines = new RawClient(port)
  lines.request('POST', '/count', { ...post, headers: { accept: 'application/x-ndjson' } })
  await lines.until('\r\n1\r\n\n\r\n')
  gate.resolve()
  await client.until('event: complete')
  t.strictSame(namesOf(readFrames(client.body)), ['start', 'progress', 'complete'])
  client.socket.destroy()
  lines.socket.destroy()
})

t.test('sends a heartbeat as one chunk in one write of the socket, wherever chunks and the response are Node\'s own', async t => {
  const { app } = await createApp(t, { heartbeatMs: 30 })
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    yield { n: 1 }
    await once(signal, 'abort')
    return { total: 1 }
  })
  const pieces: string[] = []
  const responseWrites: string[] = []
  app.route(commandRoute(Count, {
    url: '/count',
    preHandler: async (request, reply) => {
      const { socket } = request.raw
      const socketWrite = socket.write.bind(socket) as (chunk: unknown, ...rest: unknown[]) => boolean
      socket.write = (chunk: unknown, ...rest: unknown[]) => {
        pieces.push(String(chunk))
        return socketWrite(chunk, ...rest)
      }
      if (request.headers['x-own-write'] === undefined) return
      const write = reply.raw.write.bind(reply.raw) as (chunk: unknown) => boolean
      reply.raw.write = (chunk: unknown) => {
        responseWrites.push(String(chunk))
        return write(chunk)
      }
    }
  }))
  const port = await listen(app)
  const heartbeatOf = async (head: string, expected: string): Promise<void> => {
    pieces.length = 0
    const client = new RawClient(port)
    client.socket.write(`POST /count ${head}\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{"to":1}`)
    await client.until('"n":1')
    await client.until(expected)
    client.socket.destroy()
  }
  await heartbeatOf('HTTP/1.1', '3\r\n:\n\n\r\n3\r\n:\n\n\r\n')
  t.strictSame(pieces.slice(-2), ['3\r\n:\n\n\r\n', '3\r\n:\n\n\r\n'])
  await heartbeatOf('HTTP/1.0', '"n":1}\n\n:\n\n:\n\n')
  await heartbeatOf('HTTP/1.1\r\nx-own-write: yes', '3\r\n:\n\n\r\n')
  t.equal(responseWrites.at(-1), ':\n\n', 'a `write` that somebody put in its place may do more than Node\'s, compress for one')
})

t.test('queues no heartbeat behind a reader that does not read', async t => {
  const { app } = await createApp(t, { heartbeatMs: 10 })
  const text = 'x'.repeat(100_000)
  let response: { writableLength: number } | undefined
  app.mediator.addHandler(Count, async function * () {
    for (let n = 1; ; n++) yield { n, text }
  })
  app.route(commandRoute(Count, { url: '/count', preHandler: async (_request, reply) => { response = reply.raw } }))
  const client = new RawClient(await listen(app))
  client.socket.pause()
  client.request('POST', '/count', post)
  const before = await unchanged(() => response?.writableLength ?? 0)
  await sleep(100)
  t.equal(response!.writableLength, before)
  client.socket.destroy()
})

t.test('keeps the meaning of a stream when an onSend hook pipes it through another', async t => {
  const { app } = await createApp(t)
  app.addHook('onSend', async (_request, _reply, payload) => payload instanceof Readable ? payload.pipe(new PassThrough()) : payload)
  const gate = deferred()
  const ended = deferred<unknown>()
  app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    try {
      for (let n = 1; n <= to; n++) yield { n, text: 'x'.repeat(1_000) }
      if (to === 1) await Promise.race([gate.promise, once(signal, 'abort')])
      return { total: to }
    } finally {
      ended.resolve(signal.reason)
    }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  const client = new RawClient(port)
  client.request('POST', '/count', post)
  await client.until('"n":1')
  client.socket.destroy()
  t.match(await ended.promise, { reason: 'client-closed' })
  const { body } = await app.inject({ method: 'POST', url: '/count', payload: { to: 500 } })
  t.equal(readFrames(body).length, 502)
})

t.test('lets an onSend hook read the payload whole', async t => {
  const { app } = await createApp(t)
  app.addHook('onSend', async (_request, _reply, payload) => {
    let text = ''
    for await (const chunk of payload as Readable) text += String(chunk)
    return text.toUpperCase()
  })
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  t.match((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).body, /EVENT: COMPLETE/)
})

t.test('ends a stream that an onSend hook has thrown away', async t => {
  const { app } = await createApp(t)
  const ended = deferred<unknown>()
  app.addHook('onSend', async () => 'something else')
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    try {
      yield { n: 1 }
    } finally {
      ended.resolve(signal.reason)
    }
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  const client = new RawClient(port)
  client.request('POST', '/count', post)
  await client.until('something else')
  t.match(await ended.promise, { reason: 'cancelled' })
  client.socket.destroy()
})

t.test('leaves trailers to Fastify', async t => {
  const { app } = await createApp(t)
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count', preHandler: async (_request, reply) => { reply.trailer('x-end', async () => 'yes') } }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', post)
  await client.until('x-end: yes')
  t.match(client.text, /event: complete/)
  client.socket.destroy()
})

t.test('streams over HTTP/2, and ends the work when a stream of the session is cancelled', async t => {
  const { logs, logger } = createLog()
  const app = Fastify({ http2: true, logger })
  await app.register(streamingMediator, { closeGraceMs: 0 })
  const ended = deferred<unknown>()
  app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    try {
      for (let n = 1; n <= to; n++) yield { n }
      if (to === 2) await once(signal, 'abort')
      return { total: to }
    } finally {
      if (to === 2) ended.resolve(signal.reason)
    }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as { port: number }).port}`)
  const request = (to: number) => {
    const stream = session.request({ ':method': 'POST', ':path': '/count', 'content-type': 'application/json' })
    stream.setEncoding('utf8').end(JSON.stringify({ to }))
    return stream
  }
  let body = ''
  for await (const chunk of request(1)) body += chunk
  t.strictSame(namesOf(readFrames(body)), ['start', 'progress', 'complete'])
  const cancelled = request(2)
  await once(cancelled, 'data')
  cancelled.close()
  t.match(await ended.promise, { reason: 'client-closed' })
  session.destroy()
  await app.close()
  t.strictSame(logs.filter(line => line.level >= 40), [])
})

t.test('ends open streams when the app closes, and returns although their readers are still there', async t => {
  const { app } = await createApp(t)
  const stalled = 'x'.repeat(100_000)
  app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    if (to === 0) {
      await once(signal, 'abort')
    } else if (to === 1) {
      for (let n = 1; ; n++) yield { n, text: stalled }
    } else {
      await new Promise(() => {})
    }
    return { total: to }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  const idle = new RawClient(port)
  idle.request('POST', '/count', { body: { to: 0 } })
  await idle.until('event: start')
  const unread = new RawClient(port)
  unread.request('POST', '/count', { body: { to: 1 } })
  await unread.until('event: start')
  unread.socket.pause()
  const ignoring = new RawClient(port)
  ignoring.request('POST', '/count', { body: { to: 2 } })
  await ignoring.until('event: start')
  const result = fetch(`http://127.0.0.1:${port}/count`, {
    method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json', connection: 'close' }, body: '{"to":0}'
  })
  while (app.mediator.stats().streams < 4) await turn()
  const startedAt = performance.now()
  await app.close()
  t.ok(performance.now() - startedAt < 4_000, `${(performance.now() - startedAt).toFixed(0)} ms`)
  for (const client of [idle, ignoring]) {
    await client.closed()
    t.match(readFrames(client.body).at(-1), { event: 'failed', data: { status: 503, code: 'MEDIATOR_ERR_SHUTTING_DOWN', retryable: true } })
  }
  t.match(await (await result).json(), { status: 503, code: 'MEDIATOR_ERR_SHUTTING_DOWN', retryable: true })
  unread.socket.destroy()
})

t.test('lets a stream that is about to end finish within closeGraceMs', async t => {
  const { app } = await createApp(t, { closeGraceMs: 5_000 })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    await gate.promise
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', post)
  await client.until('"n":1')
  const closed = app.close()
  gate.resolve()
  await closed
  await client.closed()
  t.strictSame(namesOf(readFrames(client.body)), ['start', 'progress', 'complete'])
})

t.test('refuses a value whose text holds a line break, whatever let it through', async t => {
  const Raw = defineCommand({ name: 'raw', input: Type.Object({}), progress: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) })
  const { app } = await createApp(t)
  app.mediator.addHandler(Raw, async function * () {
    yield new Date(0)
    yield Object.assign(new Date(0), { getUTCFullYear: () => 10_000, toISOString: () => 'a\n\nevent: complete\ndata: {}' })
  })
  app.route(commandRoute(Raw, { url: '/raw' }))
  const frames = readFrames((await app.inject({ method: 'POST', url: '/raw', payload: {} })).body)
  t.strictSame(namesOf(frames), ['start', 'progress', 'failed'])
  t.match(frames.at(-1), { id: /\.3\.end$/, data: { code: 'MEDIATOR_ERR_INVALID_OUTPUT' } })
})

t.test('keeps the values of a handler inside their frames', async t => {
  const { app } = await createApp(t)
  const nasty = ['\n', '\r', '\r\n\r\nevent: x', '\u2028', '\u2029', '\u0085', '\0', '\ufeff', '\ud800', 'id: 1\n', '"', '\\', '😀']
  app.mediator.addHandler(Count, async function * () {
    for (const text of nasty) yield { n: 1, text }
    for (const text of nasty) yield { n: 1, text: text.repeat(50) }
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const frames = readFrames((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).body)
  t.strictSame(frames.slice(1, -1).map(({ data }) => data.text), [...nasty, ...nasty.map(text => text.repeat(50))])
})
