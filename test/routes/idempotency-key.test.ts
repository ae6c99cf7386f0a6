import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { LogGapError } from '../../lib/errors.js'
import { Type } from '@sinclair/typebox'
import { MemoryStreamLog, commandRoute, defineCommand } from '../../index.js'
import type { LogWriter, StreamLog, StreamingMediatorOptions } from '../../index.js'
import { fingerprintOf, streamIdOf } from '../../routes/idempotency-key.js'
import { Count, deferred } from '../support/app.js'
import { namesOf } from '../support/frames.js'
import { ask, createKept, listenTo, userOf } from '../support/kept.js'
import type { Answer, KeptApp } from '../support/kept.js'
import { RawClient } from '../support/raw-client.js'
import { nothing } from '../support/stream-ends.js'

const key = 'a-key-that-nobody-can-guess'
const get = { method: 'GET' } as const

/** An app whose command counts as far as it is told, and whose every run is counted. */
async function createCounter (t: Test, options: StreamingMediatorOptions = {}): Promise<KeptApp & { port: number, runs: () => number }> {
  const kept = await createKept(t, options)
  let runs = 0
  kept.app.mediator.addHandler(Count, async function * ({ to }) {
    runs++
    for (let n = 1; n <= to; n++) yield { n }
    return { total: to }
  })
  kept.app.route(commandRoute(Count, { url: '/other' }))
  kept.app.route(commandRoute(Count, { url: '/count', method: 'GET', crossSite: true }))
  return { ...kept, port: await listenTo(kept.app), runs: () => runs }
}

async function keyed (port: number, headers: Record<string, string> = {}, body: unknown = { to: 2 }): Promise<Answer> {
  return await ask(port, '/count', { body, headers: { 'idempotency-key': key, ...headers } })
}

t.test('tells inputs apart by what they hold, in whatever order', async t => {
  const same = [
    { a: 1, b: { c: [1, { d: 2, e: 3 }], f: null } },
    { b: { f: null, c: [1, { e: 3, d: 2 }] }, a: 1 },
    { a: 1, b: { c: [1, { d: 2, e: 3 }], f: null }, g: undefined }
  ]
  t.equal(new Set(same.map(fingerprintOf)).size, 1)
  const others = [undefined, null, 1, '1', [], {}, [1, 2], [2, 1], { a: [1, 2] }, { a: [2, 1] }, { a: '1' }, { a: 1 }, JSON.parse('{"__proto__":{"a":1}}')]
  t.equal(new Set(others.map(fingerprintOf)).size, others.length)
})

t.test('makes another id of each part, however they are cut', async t => {
  const ids = [
    streamIdOf('ada', 'POST', '/count', 'k'), streamIdOf('ada', 'GET', '/count', 'k'), streamIdOf('ad', 'aPOST', '/count', 'k'),
    streamIdOf('ada', 'POST', '/coun', 'tk'), streamIdOf('', 'POST', '/count', 'k'), streamIdOf('ada', 'POST', '/count', 'K'), streamIdOf('ada","POST', '', '/count', 'k')
  ]
  t.equal(new Set(ids).size, ids.length)
  t.ok(ids.every(id => /^[\w-]{22}$/.test(id)))
  t.equal(streamIdOf('ada', 'POST', '/count', 'k'), ids[0])
})

for (const [kind, accepts] of [
  ['of server-sent events', ['text/event-stream']],
  ['of any type', ['text/event-stream', 'application/x-ndjson', 'application/json', '*/*']]
] as const) {
  t.test(`runs once for 1,000 requests ${kind} with one key at once, and tells each the same`, { timeout: 120_000 }, async t => {
    const { app, ends, log } = await createKept(t, { maxStreams: 1 })
    const gate = deferred()
    let runs = 0
    app.mediator.addHandler(Count, async function * () {
      runs++
      yield { n: 1 }
      await gate.promise
      yield { n: 2 }
      return { total: 2 }
    })
    const waiting: string[] = []
    const port = await listenTo(app, { preHandler: async request => { waiting.push(request.id) } })
    const asked = Array.from({ length: 1_000 }, async (_, index) => await keyed(port, { accept: accepts[index % accepts.length]! }))
    while (waiting.length < 1_000) await sleep(5)
    gate.resolve()
    const answers = await Promise.all(asked)
    for (const [index, first] of answers.slice(0, accepts.length).entries()) {
      const texts = new Set(answers.filter((_, each) => each % accepts.length === index).map(({ status, text }) => `${status} ${text}`))
      t.equal(texts.size, 1, `answers of type ${index}`)
      if (accepts[index] === 'application/json') t.strictSame(first.json, { total: 2 })
      else t.strictSame(first.frames, answers[0]!.frames)
    }
    t.strictSame(namesOf(answers[0]!.frames), ['start', 'progress', 'progress', 'complete'])
    t.equal(runs, 1)
    t.match(await ends.until(1), [{ reason: 'completed', frames: 4 }])
    t.equal(log.size, 1)
    t.strictSame(app.mediator.stats(), nothing)
  })
}

t.test('takes the key with its quotes and without, and at a GET from the query string too', async t => {
  const { port, runs } = await createCounter(t)
  const answers = [await keyed(port), await keyed(port, { 'idempotency-key': `"${key}"` })]
  t.equal(answers[0]!.text, answers[1]!.text)
  t.equal(runs(), 1)
  const got = [
    await ask(port, `/count?to=2&idempotencyKey=${key}`, get),
    await ask(port, `/count?to=2&idempotencyKey=${key}`, { ...get, headers: { 'idempotency-key': `"${key}"` } }),
    await ask(port, '/count?to=2', { ...get, headers: { 'idempotency-key': key } })
  ]
  t.equal(new Set(got.map(({ text }) => text)).size, 1)
  t.not(got[0]!.text, answers[0]!.text, 'another method is another request')
  t.equal(runs(), 2)
})

t.test('is of its route and of its owner', async t => {
  const { port, runs } = await createCounter(t, { owner: userOf })
  const ids = new Set<string>()
  for (const [path, user] of [['/count', 'ada'], ['/count', 'bob'], ['/other', 'ada'], ['/count', 'ada'], ['/other', 'ada'], ['/count', 'bob']]) {
    const { frames } = await ask(port, path!, { headers: { 'idempotency-key': 'short', 'x-user': user! } })
    ids.add(frames[0]!.id)
  }
  t.equal(ids.size, 3)
  t.equal(runs(), 3)
})

t.test('refuses another input under the same key', async t => {
  const { port, runs } = await createCounter(t)
  const { text } = await keyed(port, {}, { to: 1, label: 'n' })
  t.match(await keyed(port, {}, { to: 2 }), { status: 422, json: { code: 'MEDIATOR_ERR_IDEMPOTENCY_MISMATCH' } })
  t.match(await keyed(port, { prefer: 'respond-async' }, { to: 2 }), { status: 422 })
  t.equal((await keyed(port, {}, { label: 'n', to: 1 })).text, text, 'in another order it is the same')
  t.equal((await keyed(port, {}, { to: 1 })).text, text, 'and without what is the default')
  t.equal(runs(), 1)
})

t.test('refuses a key that is malformed, given twice, or can be guessed where it opens a stream to whoever has it', async t => {
  const { port, runs } = await createCounter(t)
  const malformed = { status: 400, json: { code: 'MEDIATOR_ERR_MALFORMED_IDEMPOTENCY_KEY' } }
  for (const given of ['', '""', 'a key with spaces that nobody can guess', 'x'.repeat(256), `${key}, ${key}`, `${key}é`, 'k', 'x'.repeat(21), `"${'x'.repeat(21)}"`]) {
    t.match(await keyed(port, { 'idempotency-key': given }), malformed, given.slice(0, 30))
  }
  t.match(await ask(port, `/count?to=1&idempotencyKey=${key}&idempotencyKey=${key}2`, get), malformed)
  t.match(await ask(port, `/count?to=1&idempotencyKey=${key}`, { ...get, headers: { 'idempotency-key': `${key}2` } }), malformed)
  t.match(await ask(port, '/count?to=1&idempotencyKey=', get), malformed)
  t.equal(runs(), 0)
  for (const given of ['x'.repeat(22), 'x'.repeat(255)]) t.equal((await keyed(port, { 'idempotency-key': given })).status, 200)
  t.equal((await ask(port, `/count?to=1&idempotencyKey=${key}&idempotencyKey=${key}`, get)).status, 200)
})

t.test('is never ignored: a route that keeps nothing refuses it', async t => {
  const { app, log } = await createKept(t)
  let runs = 0
  app.mediator.addHandler(Count, async function * () {
    runs++
    return { total: 0 }
  })
  const port = await listenTo(app, { onDisconnect: 'abort' })
  t.match(await keyed(port), { status: 400, json: { code: 'MEDIATOR_ERR_IDEMPOTENCY_UNSUPPORTED' } })
  t.equal(runs, 0)
  t.equal(log.size, 0)
})

t.test('a failure that is told again is not worth another try, whatever it was at first', async t => {
  const { app } = await createKept(t)
  let runs = 0
  app.mediator.addHandler(Count, async function * ({ to }) {
    runs++
    throw Object.assign(new Error('Busy'), { statusCode: to })
  })
  const port = await listenTo(app)
  for (const [index, status] of [429, 503].entries()) {
    const send = async (accept: string): Promise<Answer> =>
      await keyed(port, { 'idempotency-key': `${key}-${status}`, accept }, { to: status })
    const first = await send('text/event-stream')
    t.match(first, { status, json: { status, retryable: true } })
    t.match(first.headers.get('retry-after'), /^[1-5]$/)
    for (const accept of ['text/event-stream', 'application/json']) {
      const again = await send(accept)
      t.strictSame({ ...again.json, retryable: true }, first.json)
      t.strictSame([again.status, again.json.retryable, again.headers.get('retry-after')], [status, false, null])
    }
    t.equal(runs, index + 1)
  }
})

t.test('remembers a run that has failed, and nothing of a request that was refused', async t => {
  const { app, ends, log } = await createKept(t, { maxStreams: 1, streamLog: new MemoryStreamLog({ maxTotalBytes: 6_000 }) })
  const gate = deferred()
  let runs = 0
  app.mediator.addHandler(Count, async function * ({ label }) {
    runs++
    if (label === 'wait') await gate.promise
    if (label === 'fail') throw Object.assign(new Error('Full'), { statusCode: 507, code: 'FULL' })
    return { total: runs }
  })
  const port = await listenTo(app)
  t.match(await keyed(port, {}, { to: 'x' }), { status: 400, json: { code: 'FST_ERR_VALIDATION' } })
  const blocking = ask(port, '/count', { body: { to: 1, label: 'wait' } })
  while (app.mediator.stats().streams === 0) await sleep(1)
  const before = log.size
  t.match(await keyed(port), { status: 503, json: { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS' } })
  t.equal(log.size, before)
  gate.resolve()
  await blocking
  const after = await keyed(port)
  t.equal(after.status, 200, 'the same key may try again')
  t.equal((await keyed(port)).text, after.text)
  const failing = [await keyed(port, { 'idempotency-key': `${key}2` }, { to: 1, label: 'fail' }), await keyed(port, { 'idempotency-key': `${key}2` }, { to: 1, label: 'fail' })]
  t.match(failing[0], { status: 507, json: { code: 'INSUFFICIENT_STORAGE' } })
  t.equal(failing[1]!.text, failing[0]!.text)
  t.equal(runs, 3)
  t.strictSame((await ends.until(3)).map(({ reason }) => reason), ['completed', 'completed', 'failed'])
})

t.test('remembers nothing of what a full log refused', async t => {
  const streamLog = new MemoryStreamLog({ maxTotalBytes: 5_000 })
  const { port, runs } = await createCounter(t, { streamLog })
  const opened = await streamLog.open('u'.repeat(22), { owner: 'x', command: 'y', fingerprint: 'x'.repeat(3_000), lease: true })
  t.match(await keyed(port), { status: 503, json: { code: 'MEDIATOR_ERR_LOG_FULL' } })
  t.equal(runs(), 0)
  if (opened.outcome === 'created') await opened.writer!.discard()
  t.equal((await keyed(port)).status, 200)
})

t.test('sends a repeat of a long stream its result, also where its frames are gone', async t => {
  for (const accept of ['application/json', 'text/event-stream']) {
    const { port, runs } = await createCounter(t, { streamLog: new MemoryStreamLog({ maxEntries: 2 }) })
    const first = await keyed(port, { accept }, { to: 20 })
    const repeat = await keyed(port, { accept: 'application/json' }, { to: 20 })
    t.strictSame(repeat.json, { total: 20 })
    if (accept === 'application/json') t.equal(repeat.text, first.text)
    t.equal((await keyed(port, { prefer: 'respond-async' }, { to: 20 })).status, 202)
    t.match(await keyed(port, {}, { to: 20 }), { status: 410, json: { code: 'MEDIATOR_ERR_LOG_GAP' } }, 'who wants the frames is told')
    t.equal(runs(), 1)
  }
})

t.test('waits for the result of a stream that runs, whatever of it is gone', async t => {
  const { app } = await createKept(t, { streamLog: new MemoryStreamLog({ maxEntries: 2 }) })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    for (let n = 1; n <= 10; n++) yield { n }
    await gate.promise
    return { total: 10 }
  })
  const port = await listenTo(app)
  t.equal((await keyed(port, { prefer: 'respond-async' })).status, 202)
  while (!(await keyed(port)).text.includes('LOG_GAP')) await sleep(1)
  const answers = [keyed(port, { accept: 'application/json' }), keyed(port, { accept: 'application/json' })]
  await sleep(5)
  gate.resolve()
  for (const { json } of await Promise.all(answers)) t.strictSame(json, { total: 10 })
})

/** A memory log whose calls the test can hold up. */
function heldUp (memory: MemoryStreamLog, { discard, read }: { discard?: () => Promise<void>, read?: () => Promise<void> }): StreamLog {
  const bound = <T extends object>(target: T, changes: object): T => new Proxy(target, {
    get: (_, key) => {
      const from = key in changes ? changes : target
      const value: unknown = Reflect.get(from, key, from)
      return typeof value === 'function' ? value.bind(from) : value
    }
  })
  return bound<StreamLog>(memory, {
    open: async (...args: Parameters<StreamLog['open']>) => {
      const opened = await memory.open(...args)
      if (opened.outcome !== 'created') return opened
      const writer = opened.writer!
      const changed: Partial<LogWriter> = {
        discard: async () => {
          await discard?.()
          await writer.discard()
        }
      }
      return { ...opened, writer: bound(writer, changed) }
    },
    read: async (...args: Parameters<StreamLog['read']>) => {
      await read?.()
      return await memory.read(...args)
    }
  })
}

for (const headers of [{}, { accept: 'application/json' }, { prefer: 'respond-async' }]) {
  t.test(`runs a duplicate itself that has waited for a request which was refused: ${JSON.stringify(headers)}`, async t => {
    const discarding = deferred()
    const gate = deferred()
    const memory = new MemoryStreamLog()
    const reading = deferred()
    const streamLog = heldUp(memory, {
      discard: async () => {
        discarding.resolve()
        await gate.promise
      },
      read: async () => { if (isRefused) reading.resolve() }
    })
    let isRefused = false
    const { app, ends } = await createKept(t, { streamLog, owner: userOf, maxStreamsPerOwner: 1 })
    const blocking = deferred()
    let runs = 0
    app.mediator.addHandler(Count, async function * ({ label }) {
      runs++
      if (label === 'wait') await blocking.promise
      return { total: 0 }
    })
    const port = await listenTo(app)
    const user = { 'x-user': 'ada' }
    t.equal((await ask(port, '/count', { body: { to: 1, label: 'wait' }, headers: { ...user, prefer: 'respond-async' } })).status, 202)
    const refused = keyed(port, { ...user, ...headers })
    await discarding.promise
    isRefused = true
    const duplicate = keyed(port, { ...user, ...headers })
    await reading.promise
    blocking.resolve()
    await ends.until(1)
    gate.resolve()
    t.match(await refused, { status: 429, json: { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER' } })
    const { status, text } = await duplicate
    t.equal(status, 'prefer' in headers ? 202 : 200, text)
    await ends.until(2)
    t.equal(runs, 2)
    if ('prefer' in headers) t.equal((await ask(port, JSON.parse(text).url, { ...get, headers: user })).frames.length, 2, 'and its url leads somewhere')
  })
}

t.test('begins anew where the stream has expired while it was being read', async t => {
  const memory = new MemoryStreamLog({ retainMs: 20 })
  let slow = false
  const { port, runs } = await createCounter(t, {
    streamLog: heldUp(memory, {
      read: async () => {
        if (!slow) return
        slow = false
        while (memory.size > 0) await sleep(5)
      }
    })
  })
  const first = await keyed(port)
  slow = memory.size > 0
  const second = await keyed(port)
  t.equal(second.text, first.text, 'the id is the same')
  t.equal(runs(), 2)
})

t.test('looks again where the stream has gone on while its result was asked for, and tells of what else a store fails with', async t => {
  const errors: Error[] = []
  const read = async (): Promise<void> => {
    const error = errors.pop()
    if (error !== undefined) throw error
  }
  const { port, runs } = await createCounter(t, { streamLog: heldUp(new MemoryStreamLog(), { read }) })
  const accept = 'application/json'
  await keyed(port)
  errors.push(new LogGapError())
  t.strictSame((await keyed(port, { accept })).json, { total: 2 })
  errors.push(new Error('away'))
  t.match(await keyed(port, { accept }), { status: 500 })
  errors.push(new LogGapError())
  t.match(await keyed(port), { status: 410 })
  t.equal(runs(), 1)
})

t.test('finds a stream of somebody else under its own id as if there were none', async t => {
  const { port, runs, log } = await createCounter(t, { owner: userOf })
  await log.open(streamIdOf('ada', 'POST', '/count', key), { owner: 'eve', command: 'count', fingerprint: '', lease: true })
  t.match(await keyed(port, { 'x-user': 'ada' }), { status: 404, json: { code: 'MEDIATOR_ERR_STREAM_NOT_FOUND' } })
  t.equal(runs(), 0)
})

t.test('goes on for those that stay when the client of the first request leaves', async t => {
  const { app, ends } = await createKept(t, { onDisconnect: { graceMs: 30 } })
  const gate = deferred()
  let runs = 0
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    runs++
    yield { n: 1 }
    await Promise.race([gate.promise, sleep(60_000, undefined, { signal, ref: false })])
    return { total: 1 }
  })
  const port = await listenTo(app)
  const first = new RawClient(port)
  first.request('POST', '/count', { body: { to: 2 }, headers: { 'idempotency-key': key } })
  await first.until('"n":1')
  const second = new RawClient(port)
  second.request('POST', '/count', { body: { to: 2 }, headers: { 'idempotency-key': key, connection: 'close' } })
  await second.until('"n":1')
  first.socket.destroy()
  await sleep(90)
  gate.resolve()
  await second.closed()
  t.match(second.body, 'event: complete')
  t.strictSame([runs, (await ends.until(1))[0]!.reason], [1, 'completed'])
})

t.test('takes a key for one of the commands that one url runs, whichever came first', async t => {
  const { app } = await createKept(t, { owner: userOf })
  const Other = defineCommand({ name: 'other', input: Count.input, result: Type.String() })
  app.mediator.addHandler(Count, async function * () { return { total: 1 } })
  app.mediator.addHandler(Other, () => 'other')
  app.route(commandRoute(Count, { url: '/versioned', constraints: { version: '1.0.0' } }))
  app.route(commandRoute(Other, { url: '/versioned', constraints: { version: '2.0.0' } }))
  const send = async (version: string): Promise<number> => {
    const headers = { 'x-user': 'ada', 'accept-version': version, 'idempotency-key': key, accept: 'application/json' }
    return (await app.inject({ method: 'POST', url: '/versioned', payload: { to: 1 }, headers })).statusCode
  }
  t.equal(await send('1.0.0'), 200)
  t.equal(await send('2.0.0'), 422)
})
