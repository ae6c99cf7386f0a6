import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import streamingMediator, { StreamingMediator, commandRoute, defineCommand } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { Add, Count, createApp, deferred, listen } from '../support/app.js'
import { StreamEnds, nothing } from '../support/stream-ends.js'

const accepts = ['text/event-stream', 'application/x-ndjson', 'application/json'] as const
const Blob = defineCommand({ name: 'blob', input: Type.Object({ bytes: Type.Integer() }), progress: Type.String(), result: Type.String() })

interface Started {
  readonly port: number
  readonly stats: () => object
  readonly ends: StreamEnds
  /** Ends the handlers that run. */
  readonly release: () => void
  readonly post: (headers?: Record<string, string>) => Promise<Response>
  /** Resolves when so many streams are open. */
  readonly open: (count: number) => Promise<void>
}

async function start (t: Parameters<typeof createApp>[0], options: Parameters<typeof createApp>[1], accept: string): Promise<Started> {
  const { app } = await createApp(t, options)
  const ends = new StreamEnds(app.mediator)
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    await gate.promise
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  return {
    port,
    ends,
    stats: () => app.mediator.stats(),
    release: gate.resolve,
    post: async headers => await fetch(`http://127.0.0.1:${port}/count`, {
      method: 'POST', headers: { 'content-type': 'application/json', accept, ...headers }, body: '{"to":1}'
    }),
    open: async count => { while (app.mediator.stats().streams < count) await turn() }
  }
}

function assertRetryAfter (t: Parameters<typeof createApp>[0], { headers }: Response): void {
  t.match(headers.get('retry-after'), /^[1-5]$/)
}

for (const accept of accepts) {
  t.test(`takes maxStreams streams of ${accept} and refuses the next one with 503, until one has ended`, async t => {
    const { post, open, ends, stats, release } = await start(t, { maxStreams: 2 }, accept)
    const first = [post(), post()]
    await open(2)
    const refused = await post()
    t.equal(refused.status, 503)
    assertRetryAfter(t, refused)
    t.equal(refused.headers.get('content-type'), 'application/problem+json')
    const problem = await refused.json() as object
    t.match(problem, { status: 503, code: 'MEDIATOR_ERR_TOO_MANY_STREAMS', retryable: true, instance: String })
    t.notOk('detail' in problem)
    t.strictSame(stats(), { ...nothing, streams: 2 }, 'it counts for nothing')
    release()
    for (const response of await Promise.all(first)) {
      t.equal(response.status, 200)
      await response.text()
    }
    await ends.until(2)
    t.strictSame(stats(), nothing)
    t.equal(await (await post()).text().then(body => body.includes('"total":1')), true)
    await ends.until(3)
    t.strictSame(ends.reasons, ['completed', 'completed', 'completed'], 'nobody is told of the one that was refused')
  })

  t.test(`takes maxStreamsPerOwner streams of ${accept} of one owner and refuses that owner's next one with 429`, async t => {
    const owner = ({ headers }: FastifyRequest): string | undefined => headers['x-user'] as string | undefined
    const { post, open, ends, stats, release } = await start(t, { maxStreamsPerOwner: 2, owner }, accept)
    const ada = { 'x-user': 'ada' }
    const first = [post(ada), post(ada), post({ 'x-user': 'grace' }), post(), post(), post()]
    await open(6)
    const refused = await post(ada)
    t.equal(refused.status, 429)
    assertRetryAfter(t, refused)
    t.match(await refused.json(), {
      status: 429, code: 'MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER', retryable: true, detail: 'You have 2 streams open, which is the limit: wait until one has ended'
    })
    t.strictSame(stats(), { ...nothing, streams: 6, owners: 2 })
    release()
    for (const response of await Promise.all(first)) await response.text()
    await ends.until(6)
    t.strictSame(stats(), nothing)
    t.strictSame(ends.all.map(end => end.owner).sort(), ['ada', 'ada', 'grace', undefined, undefined, undefined])
    t.equal((await post(ada)).status, 200)
  })

  t.test(`ends a stream of ${accept} at its deadline, with 504 where it has not begun`, async t => {
    const { app } = await createApp(t, { commitAfterMs: Infinity, maxStreamMs: 50 })
    const ends = new StreamEnds(app.mediator)
    app.mediator.addHandler(Count, async function * (_input, { signal }) {
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      return { total: 1 }
    })
    app.route(commandRoute(Count, { url: '/count' }))
    const startedAt = performance.now()
    const response = await fetch(`http://127.0.0.1:${await listen(app)}/count`, {
      method: 'POST', headers: { 'content-type': 'application/json', accept }, body: '{"to":1}'
    })
    const tookMs = performance.now() - startedAt
    t.ok(tookMs >= 49, `${tookMs} ms`)
    t.equal(response.status, 504)
    t.equal(response.headers.get('retry-after'), null, 'the same would happen again')
    t.match(await response.json(), { code: 'MEDIATOR_ERR_DEADLINE', retryable: false })
    await ends.until(1)
    t.strictSame(ends.reasons, ['deadline'])
    t.strictSame(app.mediator.stats(), nothing)
  })

  t.test(`sends a frame of exactly maxFrameBytes as ${accept}, and fails the stream that gives a longer one`, async t => {
    const maxFrameBytes = 2_000
    const { app } = await createApp(t, { maxFrameBytes })
    const ends = new StreamEnds(app.mediator)
    // A frame of two-byte characters, so that it is measured and not guessed.
    const empty = accept === 'application/x-ndjson'
      ? '{"event":"progress","id":"Zk3vQx0bT2mYw9LhR4sD1A.2","data":""}\n'
      : 'event: progress\nid: Zk3vQx0bT2mYw9LhR4sD1A.2\ndata: ""\n\n'
    const fits = maxFrameBytes - empty.length
    const textOf = (bytes: number): string => 'é'.repeat(Math.floor(bytes / 2)) + 'e'.repeat(bytes % 2)
    app.mediator.addHandler(Blob, async function * ({ bytes }) {
      yield textOf(fits + bytes)
      return 'done'
    })
    app.route(commandRoute(Blob, { url: '/blob' }))
    const send = async (bytes: number): Promise<{ statusCode: number, body: string }> =>
      await app.inject({ method: 'POST', url: '/blob', headers: { accept }, payload: { bytes } })
    const { statusCode, body } = await send(0)
    t.equal(statusCode, 200)
    if (accept === 'application/json') {
      // Progress is dropped, and the result is no frame.
      t.equal((await send(1)).statusCode, 200)
    } else {
      const separator = accept === 'text/event-stream' ? '\n\n' : '\n'
      const frame = body.split(separator).find(each => each.includes('"é')) + separator
      t.equal(Buffer.byteLength(frame), maxFrameBytes)
      t.match(body, /"done"/)
      const failed = await send(1)
      t.equal(failed.statusCode, 500)
      t.match(JSON.parse(failed.body), { code: 'MEDIATOR_ERR_FRAME_TOO_LARGE', status: 500, retryable: false })
      await ends.until(2)
      t.match(ends.all[1], { reason: 'failed', error: { code: 'MEDIATOR_ERR_FRAME_TOO_LARGE' } })
    }
    t.strictSame(app.mediator.stats(), nothing)
  })
}

for (const accept of ['text/event-stream', 'application/x-ndjson'] as const) {
  t.test(`tells a limit that is met after the start in a failed frame of ${accept}`, async t => {
    const { app } = await createApp(t, { commitAfterMs: 0, maxStreams: 1, maxFrameBytes: 1_024 })
    app.mediator.addHandler(Add, ({ a, b }) => a + b)
    app.mediator.addHandler(Count, async function * ({ label }, { mediator, signal }) {
      yield { n: 1 }
      if (label === 'nested') await mediator.send(Add, { a: 1, b: 2 })
      if (label === 'owner') throw Object.assign(new Error('no more'), { statusCode: 429 })
      if (label === 'large') yield { n: 2, text: 'x'.repeat(1_024) }
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      return { total: 1 }
    }, { maxStreamMs: 300 })
    app.route(commandRoute(Count, { url: '/count' }))
    const ends = new StreamEnds(app.mediator)
    const url = `http://127.0.0.1:${await listen(app)}/count`
    let asked = 0
    for (const [label, reason, data] of [
      ['nested', 'failed', { status: 503, code: 'MEDIATOR_ERR_TOO_MANY_STREAMS', retryable: true }],
      ['owner', 'failed', { status: 429, code: 'TOO_MANY_REQUESTS', retryable: true, detail: 'no more' }],
      ['large', 'failed', { status: 500, code: 'MEDIATOR_ERR_FRAME_TOO_LARGE', retryable: false }],
      ['', 'deadline', { status: 504, code: 'MEDIATOR_ERR_DEADLINE', retryable: false }]
    ] as const) {
      const response = await fetch(url, {
        method: 'POST', headers: { 'content-type': 'application/json', accept }, body: JSON.stringify({ to: 1, label })
      })
      const body = await response.text()
      const last = accept === 'text/event-stream' ? readFrames(body).at(-1) : JSON.parse(body.trimEnd().split('\n').at(-1)!)
      t.match([response.status, last], [200, { event: 'failed', id: /\.3\.end$/, data }], label)
      await ends.until(++asked)
      t.match(ends.all.at(-1), { reason, frames: 3, bytes: Buffer.byteLength(body) })
      t.strictSame(app.mediator.stats(), nothing)
    }
  })
}

t.test('counts a stream from its start to the end of its events', async t => {
  const { app } = await createApp(t, { maxStreams: 1 })
  app.mediator.addHandler(Add, ({ a, b }) => a + b)
  const waiting = app.mediator.stream(Add, { a: 1, b: 2 })
  const other = app.mediator.stream(Add, { a: 1, b: 2 })
  t.strictSame(app.mediator.stats(), nothing, 'one that was not read has not started')
  t.equal(await waiting.result, 3)
  t.equal(await other.result, 3)
  await t.rejects(async () => await Promise.all([app.mediator.send(Add, { a: 1, b: 2 }), app.mediator.send(Add, { a: 1, b: 2 })]), {
    code: 'MEDIATOR_ERR_TOO_MANY_STREAMS'
  })
  t.strictSame(app.mediator.stats(), nothing)
})

t.test('a command may have a deadline of its own, or none', async t => {
  const { app } = await createApp(t, { maxStreamMs: 20 })
  const waiting = async (ms: number, signal: AbortSignal): Promise<void> => await new Promise((resolve, reject) => {
    setTimeout(resolve, ms)
    signal.addEventListener('abort', () => reject(signal.reason))
  })
  app.mediator.addHandler(Add, async ({ a }, { signal }) => {
    await waiting(a, signal)
    return a
  }, { maxStreamMs: Infinity })
  app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    await waiting(to, signal)
    return { total: to }
  }, { maxStreamMs: 2 ** 31 })
  app.mediator.addHandler(Blob, async function * ({ bytes }, { signal }) {
    await waiting(bytes, signal)
    return ''
  })
  t.equal(await app.mediator.send(Add, { a: 100, b: 0 }), 100)
  t.strictSame(await app.mediator.send(Count, { to: 100, label: '' }), { total: 100 }, 'longer than a timer can be: never')
  await t.rejects(app.mediator.send(Blob, { bytes: 1_000 }), { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'deadline' })
})

for (const [name, values] of [
  ['maxStreams', [0, -1, 1.5, '5', null, NaN]],
  ['maxStreamsPerOwner', [0, -1, 1.5, '5', null, NaN]],
  ['maxStreamMs', [0, -1, '5', null, NaN]]
] as const) {
  t.test(`refuses wrong values of ${name}, in the mediator and the plugin`, async t => {
    for (const value of values) {
      const expected = { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: new RegExp(name) }
      t.throws(() => new StreamingMediator({ [name]: value }), expected, String(value))
      await t.rejects(async () => await Fastify().register(streamingMediator, { [name]: value }), expected, String(value))
      if (name === 'maxStreamMs') t.throws(() => new StreamingMediator().addHandler(Add, () => 1, { [name]: value as never }), expected, String(value))
    }
  })
}

for (const [name, values] of [
  ['heartbeatMs', [0, 9, 10.5, '15000', null, NaN, Infinity, 2 ** 31]],
  ['stallTimeoutMs', [0, 9, 10.5, '15000', null, NaN, Infinity, 2 ** 31]],
  ['maxFrameBytes', [0, 1_023, 2_000.5, '15000', null, NaN]],
  ['owner', ['ada', null, {}, 5]]
] as const) {
  t.test(`refuses wrong values of ${name} at registration`, async t => {
    for (const value of values) {
      await t.rejects(async () => await Fastify().register(streamingMediator, { [name]: value as never }), {
        code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: new RegExp(name)
      }, String(value))
    }
  })
}

for (const [what, options] of [
  ['smallest', { maxStreams: 1, maxStreamsPerOwner: 1, maxStreamMs: 1, heartbeatMs: 10, stallTimeoutMs: 10, maxFrameBytes: 1_024 }],
  ['largest', { maxStreams: Infinity, maxStreamsPerOwner: Infinity, maxStreamMs: Infinity, heartbeatMs: 2 ** 31 - 1, stallTimeoutMs: 2 ** 31 - 1, maxFrameBytes: Infinity }]
] as const) {
  t.test(`takes the ${what} values of each limit`, async t => {
    const { app } = await createApp(t, { ...options, owner: () => 'ada' })
    app.mediator.addHandler(Count, async function * () {
      yield { n: 1 }
      return { total: 1 }
    }, { maxStreamMs: Infinity })
    app.route(commandRoute(Count, { url: '/count' }))
    t.match((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).body, /event: complete/)
  })
}

t.test('refuses an owner that is no text, with 500', async t => {
  const { app, logs } = await createApp(t)
  app.mediator.addHandler(Add, ({ a, b }) => a + b)
  for (const owner of [null, 5, { id: 'ada' }, ['ada']]) {
    await t.rejects(async () => await app.mediator.send(Add, { a: 1, b: 2 }, { owner: owner as never }), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /owner must be a string/ })
    app.route(commandRoute(Add, { url: `/add/${JSON.stringify(owner)}`, owner: () => owner as never }))
  }
  for (const owner of ['null', '5']) {
    const response = await app.inject({ method: 'POST', url: `/add/${owner}`, payload: { a: 1, b: 2 } })
    t.match([response.statusCode, response.json()], [500, { code: 'MEDIATOR_ERR_INVALID_OPTIONS' }])
    t.match(logs.filter(({ level }) => level === 50).at(-1), { msg: 'request failed', err: { code: 'MEDIATOR_ERR_INVALID_OPTIONS' } })
  }
  t.strictSame(app.mediator.stats(), nothing)
})

t.test('asks the owner of the route before the plugin\'s, sync or async, and answers what it throws', async t => {
  const { app } = await createApp(t, { owner: async ({ headers }) => await Promise.resolve(headers['x-user'] as string | undefined) })
  const ends = new StreamEnds(app.mediator)
  app.mediator.addHandler(Add, ({ a, b }) => a + b)
  app.route(commandRoute(Add, { url: '/plugin' }))
  app.route(commandRoute(Add, { url: '/sync', owner: ({ ip }) => ip }))
  app.route(commandRoute(Add, { url: '/async', owner: async () => await Promise.resolve('tenant') }))
  app.route(commandRoute(Add, { url: '/nobody', owner: () => undefined }))
  app.route(commandRoute(Add, { url: '/empty', owner: () => '' }))
  app.route(commandRoute(Add, { url: '/throws', owner: () => { throw Object.assign(new Error('Who are you?'), { statusCode: 401 }) } }))
  app.route(commandRoute(Add, { url: '/rejects', owner: async () => { throw new Error('secret') } }))
  const post = async (url: string): Promise<{ statusCode: number, body: string }> =>
    await app.inject({ method: 'POST', url, headers: { 'x-user': 'ada' }, payload: { a: 1, b: 2 } })
  for (const url of ['/plugin', '/sync', '/async', '/nobody', '/empty']) t.equal((await post(url)).body, '3', url)
  await ends.until(5)
  t.strictSame(ends.all.map(({ owner }) => owner), ['ada', '127.0.0.1', 'tenant', undefined, ''])
  const thrown = await post('/throws')
  t.match([thrown.statusCode, JSON.parse(thrown.body)], [401, { detail: 'Who are you?' }])
  const rejected = await post('/rejects')
  t.equal(rejected.statusCode, 500)
  t.notMatch(rejected.body, /secret/)
  t.equal(ends.all.length, 5)
  t.strictSame(app.mediator.stats(), nothing)
})

t.test('refuses an owner of a route that does not say whose streams are', async t => {
  t.throws(() => commandRoute(Add, { url: '/add', owner: 'ada' as never }), { code: 'MEDIATOR_ERR_INVALID_ROUTE', message: /owner that is neither a function nor 'public'/ })
})

t.test('keeps a Retry-After that the app has set', async t => {
  const { app } = await createApp(t, { maxStreams: 1 })
  app.mediator.addHandler(Count, async function * (_input, { mediator }) { return { total: await mediator.send(Add, { a: 1, b: 2 }) } })
  app.mediator.addHandler(Add, ({ a, b }) => a + b)
  app.route(commandRoute(Count, { url: '/count', preHandler: async (_request, reply) => { reply.header('retry-after', '60') } }))
  const { statusCode, headers } = await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })
  t.match([statusCode, headers['retry-after']], [503, '60'])
})
