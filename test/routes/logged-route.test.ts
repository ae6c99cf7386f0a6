import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { Test } from 'tap'
import { MemoryStreamLog, commandRoute, defineCommand, defineEvent } from '../../index.js'
import type { LogWriter, Scope, StreamLog, StreamingMediatorOptions } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { Add, Count, Watch, createApp, deferred } from '../support/app.js'
import { namesOf } from '../support/frames.js'
import { ask, createKept, listenTo, portOf, userOf } from '../support/kept.js'
import type { Answer, KeptApp } from '../support/kept.js'
import { RawClient } from '../support/raw-client.js'
import { nothing } from '../support/stream-ends.js'

const Logged = defineEvent({ name: 'logged.counted', payload: Type.Object({ n: Type.Integer() }) })
const get = { method: 'GET' } as const
const json = { headers: { accept: 'application/json' } }

/** An app whose command counts as far as it is told, at GET and POST, and how often it ran. */
async function createCounter (t: Test, options: StreamingMediatorOptions = {}): Promise<KeptApp & { port: number, runs: () => number }> {
  const kept = await createKept(t, options)
  let runs = 0
  kept.app.mediator.addHandler(Count, async function * ({ to }) {
    runs++
    for (let n = 1; n <= to; n++) yield { n }
    return { total: to }
  })
  kept.app.mediator.addHandler(Watch, async function * () { yield { event: 'tick', data: { n: 1 } } })
  kept.app.mediator.addHandler(Add, async ({ a, b }) => a + b)
  kept.app.route(commandRoute(Count, { url: '/count', method: 'GET', crossSite: true }))
  kept.app.route(commandRoute(Watch, { url: '/watch', method: 'GET' }))
  kept.app.route(commandRoute(Add, { url: '/add' }))
  return { ...kept, port: await listenTo(kept.app), runs: () => runs }
}

/** What of an answer must not tell one reason from another. */
function alike ({ status, headers, text }: Answer): unknown {
  const { date, ...others } = Object.fromEntries(headers)
  return { status, headers: others, text }
}

for (const method of ['GET', 'POST'] as const) {
  t.test(`goes on after any id that a client has seen, and never runs again: ${method}`, async t => {
    const { port, runs } = await createCounter(t)
    const whole = await ask(port, '/count?to=3', { method, body: { to: 3 } })
    t.strictSame(namesOf(whole.frames), ['start', 'progress', 'progress', 'progress', 'complete'])
    for (const [index, { id }] of whole.frames.entries()) {
      for (const [path, headers] of [
        ['/count?to=3', { 'last-event-id': id }],
        [`/count?to=3&lastEventId=${id}`, {}],
        [`/count?to=3&lastEventId=${whole.frames[0]!.id}`, { 'last-event-id': id }]
      ] as const) {
        const resumed = await ask(port, path, { method, body: { to: 3 }, headers: headers as Record<string, string> })
        if (index === 4) t.match(resumed, { status: 204, text: '' })
        else t.strictSame(resumed.frames, whole.frames.slice(index + 1))
      }
      const lines = await ask(port, '/count?to=3', { method, body: { to: 3 }, headers: { 'last-event-id': id, accept: 'application/x-ndjson' } })
      t.strictSame(lines.text === '' ? [] : lines.frames, whole.frames.slice(index + 1))
    }
    const { json: result } = await ask(port, '/count?to=3', { method, body: { to: 3 }, headers: { 'last-event-id': whole.frames[1]!.id, ...json.headers } })
    t.strictSame(result, { total: 3 })
    t.equal(runs(), 1)
  })
}

t.test('takes the id of the last frame for its end, also without .end', async t => {
  const { port, runs } = await createCounter(t)
  const { frames } = await ask(port, '/count?to=1', get)
  const id = frames[2]!.id.replace('.end', '')
  for (const path of ['/count?to=1', `/streams/${frames[0]!.data.streamId}`]) {
    t.match(await ask(port, path, { ...get, headers: { 'last-event-id': id } }), { status: 204, text: '' }, path)
  }
  t.equal(runs(), 1)
})

t.test('answers whoever asks for what is not theirs, was not, or is another command\'s, as for what never was', async t => {
  const { port, runs } = await createCounter(t, { owner: userOf })
  const ada = { 'x-user': 'ada' }
  const { frames: [{ id }] } = await ask(port, '/count?to=1', { ...get, headers: ada }) as { frames: [{ id: string }] } & Answer
  const { frames: [{ id: other }] } = await ask(port, '/watch?to=1', { ...get, headers: ada }) as { frames: [{ id: string }] } & Answer
  for (const accept of ['text/event-stream', 'application/x-ndjson', 'application/json']) {
    const unknown = await ask(port, '/count?to=1', { ...get, headers: { ...ada, accept, 'last-event-id': `${'u'.repeat(22)}.1` } })
    t.match(unknown, { status: 404, json: { code: 'MEDIATOR_ERR_STREAM_NOT_FOUND' } })
    t.notOk('instance' in unknown.json, 'not even its length differs')
    const foreign = await ask(port, '/count?to=1', { ...get, headers: { 'x-user': 'eve', accept, 'last-event-id': id } })
    const foreignGap = await ask(port, '/count?to=1', { ...get, headers: { 'x-user': 'eve', accept, 'last-event-id': id.replace('.1', '.99') } })
    const another = await ask(port, '/count?to=1', { ...get, headers: { ...ada, accept, 'last-event-id': other } })
    for (const answer of [foreign, foreignGap, another]) t.strictSame(alike(answer), alike(unknown))
  }
  t.match(await ask(port, '/count?to=1', { ...get, headers: { ...ada, 'last-event-id': id.replace('.1', '.99') } }),
    { status: 410, json: { code: 'MEDIATOR_ERR_LOG_ROLLED_BACK' } })
  for (const malformed of ['x', id.replace('.1', '.0'), `${id}.end.end`]) {
    t.match(await ask(port, '/count?to=1', { ...get, headers: { ...ada, 'last-event-id': malformed } }), { status: 400, json: { code: 'MEDIATOR_ERR_MALFORMED_EVENT_ID' } })
  }
  t.equal(runs(), 1)
})

t.test('refuses an id of another stream than the key stands for', async t => {
  const { port, runs } = await createCounter(t)
  const key = 'a-key-that-nobody-can-guess'
  const keyed = await ask(port, `/count?to=1&idempotencyKey=${key}`, get)
  const other = await ask(port, '/count?to=1', get)
  const resumed = await ask(port, `/count?to=1&idempotencyKey=${key}`, { ...get, headers: { 'last-event-id': keyed.frames[0]!.id } })
  t.strictSame(resumed.frames, keyed.frames.slice(1))
  t.match(await ask(port, `/count?to=1&idempotencyKey=${key}`, { ...get, headers: { 'last-event-id': other.frames[0]!.id } }),
    { status: 400, json: { code: 'MEDIATOR_ERR_FOREIGN_EVENT_ID' } })
  t.equal(runs(), 2)
})

t.test('tells who resumes of the frames that are gone, and of a stream that has expired', async t => {
  const { port } = await createCounter(t, { streamLog: new MemoryStreamLog({ maxEntries: 3, retainMs: 200 }) })
  const { frames } = await ask(port, '/count?to=10', get)
  t.equal(frames.length, 12, 'its first reader gets them all, however few are kept')
  t.match(await ask(port, '/count?to=10', { ...get, headers: { 'last-event-id': frames[1]!.id } }), { status: 410, json: { code: 'MEDIATOR_ERR_LOG_GAP' } })
  const late = async (): Promise<Answer> => await ask(port, '/count?to=10', { ...get, headers: { 'last-event-id': frames[10]!.id } })
  t.strictSame((await late()).frames, frames.slice(11))
  while ((await late()).status !== 404) await sleep(50)
})

t.test('sends headers at once to who comes back to a stream that is quiet, whenever its route commits', async t => {
  const { app } = await createKept(t, { commitAfterMs: Infinity, heartbeatMs: 20 })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    await gate.promise
    throw Object.assign(new Error('Too late'), { statusCode: 409 })
  })
  const port = await listenTo(app)
  const first = new RawClient(port)
  first.request('POST', '/count', { body: { to: 1 } })
  await first.until('"n":1')
  const second = new RawClient(port)
  second.request('POST', '/count', { body: { to: 1 }, headers: { 'last-event-id': `${readFrames(first.body)[0]!.data.streamId}.2` } })
  await second.until('HTTP/1.1 200 OK')
  await second.until('\r\n:\n\n\r\n')
  gate.resolve()
  await second.until('event: failed')
  first.socket.destroy()
  second.socket.destroy()
})

t.test('tells who resumes of a failure in a frame, and who begins by a status', async t => {
  const { app, logs } = await createKept(t)
  app.mediator.addHandler(Count, async function * () { throw Object.assign(new Error('No such file'), { statusCode: 404, code: 'NO_FILE' }) })
  const port = await listenTo(app)
  const first = await ask(port, '/count')
  t.match(first, { status: 404, json: { code: 'NO_FILE', detail: 'No such file', instance: /^[\w-]{22}$/ } })
  const id = `${first.json.instance}.1`
  const resumed = await ask(port, '/count', { headers: { 'last-event-id': id } })
  t.match(resumed, { status: 200, frames: [{ event: 'failed', data: { status: 404, code: 'NO_FILE' } }] })
  t.strictSame(resumed.frames[0]!.data, first.json)
  t.match(await ask(port, '/count', { headers: { 'last-event-id': id, ...json.headers } }), { status: 404, json: first.json })
  t.strictSame(logs.filter(({ err }) => err !== undefined).map(({ msg }) => msg), ['stream ended'], 'the error is logged once')
})

t.test('says who is not signed in, and fails where the app does not say who is', async t => {
  const { app, logs, log } = await createKept(t, { owner: request => JSON.parse(String(request.headers['x-user'] ?? 'null')) ?? undefined })
  let runs = 0
  app.mediator.addHandler(Count, async function * () {
    runs++
    return { total: 0 }
  })
  const port = await listenTo(app)
  const id = `${'u'.repeat(22)}.1`
  for (const headers of [{}, { 'last-event-id': id }, { 'idempotency-key': 'k' }, { prefer: 'respond-async' }, { accept: 'application/json' }]) {
    const answer = await ask(port, '/count', { headers: headers as Record<string, string> })
    t.match(answer, { status: 401, json: { code: 'MEDIATOR_ERR_OWNER_MISSING' } })
    for (const user of ['""', '5', '{"id":"ada"}', 'true']) {
      logs.length = 0
      const failed = await ask(port, '/count', { headers: { ...headers as Record<string, string>, 'x-user': user } })
      t.match(failed, { status: 500, json: { code: 'MEDIATOR_ERR_INVALID_OPTIONS', detail: undefined } })
      t.match(logs.filter(({ level }) => level >= 50), [{ err: { message: /owner.*string that is not empty/ } }])
    }
  }
  t.equal(log.size, 0)
  t.equal(runs, 0)
  t.equal((await ask(port, '/count', { headers: { 'x-user': '"ada"' } })).status, 200)
})

t.test('asks who owns a stream with what a promise brings, and fails as it does', async t => {
  const { app } = await createKept(t, {
    owner: async ({ headers }) => {
      await sleep(1)
      if (headers['x-user'] === 'mallory') throw Object.assign(new Error('Blocked'), { statusCode: 403 })
      return userOf({ headers })
    }
  })
  app.mediator.addHandler(Count, async function * () { return { total: 0 } })
  const port = await listenTo(app)
  t.match(await ask(port, '/count', { headers: { 'x-user': 'mallory' } }), { status: 403, json: { detail: 'Blocked' } })
  t.equal((await ask(port, '/count', { headers: { 'x-user': 'ada' } })).status, 200)
})

t.test('takes the owner of the route before that of the plugin, and counts a public one for nobody', async t => {
  const { app, ends } = await createKept(t, { owner: userOf, maxStreamsPerOwner: 1 })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    await gate.promise
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/public', owner: 'public' }))
  const port = await listenTo(app)
  const ada = { 'x-user': 'ada', prefer: 'respond-async' }
  t.equal((await ask(port, '/count', { headers: ada })).status, 202)
  t.match(await ask(port, '/count', { headers: ada }), { status: 429, json: { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER', retryable: true } })
  t.equal((await ask(port, '/count', { headers: { ...ada, 'x-user': 'bob' } })).status, 202)
  for (let n = 0; n < 3; n++) t.equal((await ask(port, '/public', { headers: { prefer: 'respond-async' } })).status, 202)
  t.match(app.mediator.stats(), { streams: 5, owners: 2 })
  gate.resolve()
  t.strictSame((await ends.until(5)).map(({ owner }) => owner).sort(), ['ada', 'bob', undefined, undefined, undefined])
})

t.test('answers before the work is done where the client prefers that', async t => {
  const { port, ends, runs } = await createCounter(t, { publicPrefix: '/api' })
  const { status, headers, json: told } = await ask(port, '/count', { headers: { prefer: 'respond-async, wait=10', accept: 'text/event-stream' } })
  t.equal(status, 202)
  t.match(told.streamId, /^[\w-]{22}$/)
  t.strictSame(told, { streamId: told.streamId, url: `/api/streams/${told.streamId}` })
  t.match(Object.fromEntries(headers), {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'preference-applied': 'respond-async',
    location: told.url,
    vary: 'Accept'
  })
  t.match(await ends.until(1), [{ reason: 'completed', frames: 4 }])
  t.strictSame(namesOf((await ask(port, told.url.slice(4), get)).frames), ['start', 'progress', 'progress', 'complete'])
  t.match(await ask(port, '/count', { headers: { prefer: 'return=minimal' } }), { status: 200 })
  t.match(await ask(port, '/count?to=x', { ...get, headers: { prefer: 'respond-async' } }), { status: 400 })
  t.equal(runs(), 2)
  const key = { prefer: 'respond-async', 'idempotency-key': '"one-and-the-same-request"' }
  const repeats = await Promise.all(Array.from({ length: 10 }, async () => await ask(port, '/count', { headers: key })))
  t.equal(new Set(repeats.map(answer => `${answer.status} ${answer.headers.get('location')} ${answer.text}`)).size, 1)
  t.equal(repeats[0]!.status, 202)
  t.equal(runs(), 3)
})

t.test('ignores the preference on a route that keeps nothing', async t => {
  const { app } = await createKept(t)
  app.mediator.addHandler(Count, async function * () { return { total: 0 } })
  const port = await listenTo(app, { onDisconnect: 'abort' })
  const { status, headers, frames } = await ask(port, '/count', { headers: { prefer: 'respond-async' } })
  t.equal(status, 200)
  t.equal(headers.get('preference-applied'), null)
  t.equal(headers.get('location'), null)
  t.strictSame(namesOf(frames), ['start', 'complete'])
})

t.test('refuses what has no room before the handler starts, for 202 as well', async t => {
  const { app, log } = await createKept(t, { maxStreams: 1 })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    await gate.promise
    return { total: 0 }
  })
  const port = await listenTo(app)
  t.equal((await ask(port, '/count', { headers: { prefer: 'respond-async' } })).status, 202)
  for (const headers of [{}, json.headers, { prefer: 'respond-async' }]) {
    const { status, headers: answered, json: problem } = await ask(port, '/count', { headers: headers as Record<string, string> })
    t.match([status, problem], [503, { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS', retryable: true }])
    t.match(answered.get('retry-after'), /^[1-5]$/)
  }
  t.equal(log.size, 1)
  gate.resolve()
})

t.test('answers a full log with 503, and an unknown failure of a store as its own', async t => {
  const full = new MemoryStreamLog({ maxTotalBytes: 1 })
  await full.open('a', { owner: 'x', command: 'y', fingerprint: '', lease: true })
  const { app, logs } = await createKept(t, { streamLog: full })
  app.mediator.addHandler(Count, async function * () { return { total: 0 } })
  const port = await listenTo(app)
  t.match(await ask(port, '/count'), { status: 503, json: { code: 'MEDIATOR_ERR_LOG_FULL', retryable: true } })
  t.strictSame(app.mediator.stats(), nothing)
  t.ok(logs.some(({ msg }) => msg === 'request failed'))
})

t.test('sends the result alone to a client of JSON, and the status that a failure deserves', async t => {
  const { app, port, ends } = await createCounter(t)
  t.strictSame((await ask(port, '/add', { body: { a: 1, b: 2 } })).json, 3)
  t.match(await ask(port, '/add', { body: { a: 1 } }), { status: 400 })
  const { headers, json: result } = await ask(port, '/count', json)
  t.strictSame(result, { total: 2 })
  t.match(Object.fromEntries(headers), { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  t.match(ends.all, [{ command: 'add', frames: 2 }, { command: 'count', frames: 4 }])
  t.strictSame(app.mediator.stats(), nothing)
})

const Fails = defineCommand({
  name: 'fails', input: Type.Object({ how: Type.String() }), progress: Type.Object({ n: Type.Integer() }), result: Type.Object({ text: Type.String() })
})

for (const [how, status, code, logged] of [
  ['throws', 500, 'INTERNAL_SERVER_ERROR', 50],
  ['synchronously', 500, 'INTERNAL_SERVER_ERROR', 50],
  ['string', 500, 'INTERNAL_SERVER_ERROR', 50],
  ['conflict', 409, 'TAKEN', 30],
  ['progress', 500, 'MEDIATOR_ERR_INVALID_OUTPUT', 50],
  ['result', 500, 'MEDIATOR_ERR_INVALID_OUTPUT', 50],
  ['long progress', 500, 'MEDIATOR_ERR_FRAME_TOO_LARGE', 50],
  ['long result', 500, 'MEDIATOR_ERR_FRAME_TOO_LARGE', 50],
  ['event', 500, 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', 50],
  ['validation', 400, 'BAD_REQUEST', 30]
] as const) {
  t.test(`tells and logs once how a stream has failed: ${how}`, async t => {
    const { app, logs, ends } = await createKept(t, { commitAfterMs: 10_000, maxFrameBytes: 2_000 })
    app.mediator.addEventHandler(Logged, () => { throw new Error('the event handler failed') })
    app.mediator.addHandler(Fails, ({ how }, { emit }) => {
      if (how === 'synchronously') throw new Error('at once')
      return (async function * () {
        if (how === 'string') throw 'a string' // eslint-disable-line no-throw-literal
        if (how === 'throws') throw new Error('secret')
        if (how === 'conflict') throw Object.assign(new Error('Taken'), { statusCode: 409, code: 'TAKEN' })
        if (how === 'validation') {
          throw Object.assign(new Error('bad'), { statusCode: 400, validation: [{ instancePath: '/name', message: 'must be a name', keyword: 'x', params: {}, schemaPath: '' }] })
        }
        if (how === 'progress') yield { n: 1.5 }
        if (how === 'long progress') yield { n: 1, more: 'x'.repeat(3_000) }
        if (how === 'event') emit(Logged, { n: 1 })
        return { text: how === 'result' ? 5 as unknown as string : 'x'.repeat(3_000) }
      })()
    })
    app.route(commandRoute(Fails, { url: '/fails' }))
    const port = await portOf(app)
    // Keys that the schema does not name are left out: too long is what is left.
    const expected = how === 'long progress' ? 'MEDIATOR_ERR_FRAME_TOO_LARGE' : code
    const seen = new Set<string>()
    const key = 'a-key-that-nobody-can-guess'
    if (how === 'long progress') {
      const { frames } = await ask(port, '/fails', { body: { how } })
      t.strictSame(namesOf(frames), ['start', 'progress', 'failed'], 'and the result was too long')
      return
    }
    for (const accept of ['text/event-stream', 'application/json', 'application/x-ndjson', 'text/event-stream']) {
      const answer = await ask(port, '/fails', { body: { how }, headers: { accept, 'idempotency-key': key } })
      t.match(answer, { status, json: { code: expected, status } })
      t.equal(answer.headers.get('content-type'), 'application/problem+json')
      seen.add(answer.text)
    }
    t.equal(seen.size, 1, 'a repeat is told the same')
    if (how === 'validation') t.match([...seen][0], '"errors":[{"field":"name","message":"must be a name"}]')
    const [end] = await ends.until(1)
    t.match(end, { reason: 'failed', command: 'fails', frames: 2 })
    t.not(end!.error, undefined)
    t.equal(ends.all.length, 1)
    t.match(logs.filter(({ msg }) => msg === 'stream ended'), [{ level: logged, reason: 'failed', command: 'fails', streamId: end!.streamId, reqId: 'req-1' }])
    t.equal(logs.filter(line => line.err !== undefined && line.msg !== 'event handler failed').length, 1, JSON.stringify(logs))
    t.match(logs.filter(({ msg }) => msg === 'request failed'), Array(4).fill({ level: 30, streamId: end!.streamId, code: expected }))
  })
}

t.test('ends a stream that runs longer than it may, with or without a reader', async t => {
  const { app, ends } = await createKept(t, { maxStreamMs: 50 })
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    yield { n: 1 }
    await sleep(60_000, undefined, { signal })
    return { total: 0 }
  })
  const port = await listenTo(app)
  const { frames } = await ask(port, '/count')
  t.match(frames.at(-1), { event: 'failed', data: { status: 504, code: 'MEDIATOR_ERR_DEADLINE', retryable: false } })
  const { json: { url } } = await ask(port, '/count', { headers: { prefer: 'respond-async' } })
  t.match(await ends.until(2), [{ reason: 'deadline' }, { reason: 'deadline' }])
  t.match((await ask(port, url, { ...get, ...json })).json, { state: 'failed', problem: { code: 'MEDIATOR_ERR_DEADLINE' } })
})

t.test('tells readers at once of the end of a handler that ignores its signal', async t => {
  const { app, logs, ends } = await createKept(t, { maxStreamMs: 20 })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    await gate.promise
    return { total: 0 }
  })
  const port = await listenTo(app)
  t.match((await ask(port, '/count')).frames.at(-1), { event: 'failed', data: { code: 'MEDIATOR_ERR_DEADLINE' } })
  t.equal(ends.all.length, 0, 'its handler is still waited for')
  await ends.until(1)
  t.match(app.mediator.stats(), { streams: 0, detachedHandlers: 1 })
  t.ok(logs.some(({ level, msg }) => level === 40 && /handler goes on/.test(msg)))
  gate.resolve()
  while (app.mediator.stats().detachedHandlers > 0) await sleep(1)
})

t.test('waits with the end for the events, as a stream that is not kept', async t => {
  const { app, log } = await createKept(t)
  const gate = deferred()
  const handled = deferred()
  app.mediator.addEventHandler(Logged, async () => {
    handled.resolve()
    await gate.promise
  })
  app.mediator.addHandler(Count, async function * ({ to }, { emit }) {
    yield { n: 1 }
    emit(Logged, { n: 1 })
    if (to === 0) throw Object.assign(new Error('No'), { statusCode: 409 })
    return { total: 1 }
  })
  const port = await listenTo(app)
  const answers = [ask(port, '/count', { body: { to: 0 } }), ask(port, '/count', { body: { to: 1 } })]
  await handled.promise
  while ((await log.list('', { limit: 9 })).streams.length < 2) await sleep(1)
  await sleep(20)
  t.ok((await log.list('', { limit: 9 })).streams.every(({ state }) => state === 'running'))
  gate.resolve()
  t.strictSame((await Promise.all(answers)).map(({ frames }) => frames.at(-1)!.event), ['failed', 'complete'])
})

t.test('gives a handler its caller and a scope that live as long as its stream, not as its request', async t => {
  const disposed = deferred()
  const scope = (): Scope => ({ resolve: () => ({ name: 'db' }), dispose: () => disposed.resolve() })
  const { app, ends } = await createKept(t, { caller: request => ({ name: userOf(request)! }), scope })
  const gate = deferred()
  const seen: unknown[] = []
  let isDisposed = false
  void disposed.promise.then(() => { isDisposed = true })
  app.mediator.addHandler(Count, async function * (_input, { caller, scope, streamId }) {
    yield { n: 1 }
    await gate.promise
    seen.push(caller, await scope.resolve('db'), isDisposed, streamId)
    return { total: 1 }
  })
  const client = new RawClient(await listenTo(app))
  client.request('POST', '/count', { body: { to: 1 }, headers: { 'x-user': 'ada' } })
  await client.until('"n":1')
  client.socket.destroy()
  await sleep(20)
  gate.resolve()
  const { streamId } = (await ends.until(1))[0]!
  await disposed.promise
  t.strictSame(seen, [{ name: 'ada' }, { name: 'db' }, false, streamId])
})

t.test('lets handlers finish in the grace of a close, and tells all readers of those that do not', async t => {
  for (const finishes of [true, false]) {
    const { app, logs } = await createKept(t, { closeGraceMs: finishes ? 10_000 : 50 })
    const gate = deferred()
    app.mediator.addHandler(Count, async function * (_input, { signal }) {
      yield { n: 1 }
      await Promise.race([gate.promise, sleep(60_000, undefined, { signal, ref: false })])
      return { total: 1 }
    })
    const port = await listenTo(app)
    const clients = Array.from({ length: 3 }, () => new RawClient(port))
    clients[0]!.request('POST', '/count', { body: { to: 1 } })
    await clients[0]!.until('"n":1')
    const { streamId } = readFrames(clients[0]!.body)[0]!.data
    clients[1]!.request('GET', `/streams/${streamId}`, { headers: { accept: 'application/x-ndjson' } })
    clients[2]!.request('GET', `/streams/${streamId}`, { headers: { 'last-event-id': `${streamId}.1` } })
    await Promise.all(clients.map(async client => await client.until('"n":1')))
    const result = ask(port, '/count', { headers: { ...json.headers, 'idempotency-key': 'a-key-that-nobody-can-guess' } })
    while (app.mediator.stats().streams < 2) await sleep(1)
    const closing = app.close()
    if (finishes) gate.resolve()
    for (const client of clients) {
      await client.closed()
      const last = readFrames(client.body).at(-1)!
      t.match(last, { id: `${streamId}.3.end` })
      t.match(last, finishes ? { event: 'complete' } : { event: 'failed', data: { status: 503, code: 'MEDIATOR_ERR_SHUTTING_DOWN', retryable: true } })
    }
    t.match(await result, finishes ? { status: 200 } : { status: 503, json: { code: 'MEDIATOR_ERR_SHUTTING_DOWN' } })
    await closing
    t.strictSame(app.mediator.stats(), nothing)
    t.strictSame(logs.filter(({ level }) => level >= 50), [])
  }
})

t.test('tells readers of a log that is closed under them, whatever they wait for', async t => {
  const { app, log } = await createKept(t, { commitAfterMs: 60_000 })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    if (to > 0) yield { n: 1 }
    await Promise.race([gate.promise, sleep(60_000, undefined, { signal, ref: false })]).catch(() => {})
    await gate.promise
    return { total: 0 }
  })
  const port = await listenTo(app)
  const committed = new RawClient(port)
  committed.request('POST', '/count', { body: { to: 1 }, headers: { connection: 'close' } })
  await committed.until('"n":1')
  const answers = [ask(port, '/count', { body: { to: 0 } }), ask(port, '/count', { body: { to: 0 }, ...json })]
  while (app.mediator.stats().streams < 3) await sleep(1)
  await log.close()
  for (const { status, json: problem } of await Promise.all(answers)) t.match([status, problem], [503, { code: 'MEDIATOR_ERR_SHUTTING_DOWN' }])
  await committed.closed()
  t.match(committed.body, /\n\nevent: failed\ndata: \{[^\n]*"code":"MEDIATOR_ERR_SHUTTING_DOWN"[^\n]*\}\n\n$/)
  t.match(await ask(port, '/count'), { status: 503, json: { code: 'MEDIATOR_ERR_SHUTTING_DOWN' } })
  gate.resolve()
})

t.test('serves many readers at different places, each with all that it has not seen', async t => {
  const { app } = await createKept(t)
  const gates = Array.from({ length: 5 }, () => deferred())
  app.mediator.addHandler(Count, async function * () {
    for (const [n, gate] of gates.entries()) {
      yield { n }
      await gate.promise
    }
    return { total: 5 }
  })
  const port = await listenTo(app)
  const { json: { streamId, url } } = await ask(port, '/count', { headers: { prefer: 'respond-async' } })
  const answers: Array<[seq: number, answer: Promise<Answer>]> = []
  for (const [n, gate] of gates.entries()) {
    for (let seq = 0; seq <= n + 2; seq++) {
      const headers = seq === 0 ? {} : { 'last-event-id': `${streamId}.${seq}` }
      answers.push([seq, ask(port, seq % 2 === 0 ? url : '/count', { method: seq % 2 === 0 ? 'GET' : 'POST', headers: headers as Record<string, string> })])
    }
    await sleep(5)
    gate.resolve()
  }
  const all = (await answers[0]![1]).frames
  t.equal(all.length, 7)
  for (const [seq, answer] of answers) {
    const { status, text } = await answer
    // An id that was not yet there when it was sent.
    if (status === 410) t.match(text, 'MEDIATOR_ERR_LOG_ROLLED_BACK')
    else t.strictSame(readFrames(text), all.slice(seq), `after ${seq}`)
  }
})

t.test('ends the stream, and not the process, where a store fails', async t => {
  for (const failing of ['append', 'rejected append', 'end', 'read', 'start'] as const) {
    const memory = new MemoryStreamLog()
    const streamLog = failingIn(memory, failing)
    const { app, logs } = await createApp(t, { onDisconnect: 'continue', owner: 'public', streamLog })
    let runs = 0
    app.mediator.addHandler(Count, async function * () {
      runs++
      yield { n: 1 }
      return { total: 1 }
    })
    const port = await listenTo(app)
    if (failing === 'end') {
      const client = new RawClient(port)
      client.request('POST', '/count', { body: { to: 1 } })
      await client.until('"n":1')
      while (!logs.some(({ msg }) => /was not stored/.test(msg))) await sleep(1)
      client.socket.destroy()
    } else {
      t.match(await ask(port, '/count', json), { status: 500, json: { code: 'INTERNAL_SERVER_ERROR' } }, failing)
    }
    t.equal(runs, failing === 'read' ? 0 : 1)
    t.strictSame(app.mediator.stats(), nothing)
    t.equal(memory.size, failing === 'read' ? 0 : 1)
    await app.close()
  }
})

/** A log whose store is away in one place. */
function failingIn (memory: MemoryStreamLog, failing: string): StreamLog {
  const away = new Error('the store is away')
  const writerOf = (writer: LogWriter): LogWriter => new Proxy(writer, {
    get: (_, key) => {
      const value: unknown = Reflect.get(writer, key, writer)
      if (key === 'append') {
        return (event: string, data: string): boolean | Promise<boolean> => {
          if (failing === 'append' && event !== 'start') throw away
          if (failing === 'start' && event === 'start') throw away
          return failing === 'rejected append' && event !== 'start' ? Promise.reject(away) : writer.append(event, data)
        }
      }
      if (key === 'end' && failing === 'end') return async () => { throw away }
      return typeof value === 'function' ? value.bind(writer) : value
    }
  })
  return new Proxy<StreamLog>(memory, {
    get: (_, key) => {
      if (key === 'read' && failing === 'read') return async () => { throw away }
      if (key === 'open') {
        return async (...args: Parameters<StreamLog['open']>) => {
          const opened = await memory.open(...args)
          return opened.outcome === 'created' ? { ...opened, writer: writerOf(opened.writer!) } : opened
        }
      }
      const value: unknown = Reflect.get(memory, key, memory)
      return typeof value === 'function' ? value.bind(memory) : value
    }
  })
}
