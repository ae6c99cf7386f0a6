import { once } from 'node:events'
import t from 'tap'
import type { Test } from 'tap'
import { ClientError, createClient } from '../../lib/client/index.js'
import type { Client, ClientOptions, ClientStream } from '../../lib/client/index.js'
import { commandRoutes, defineCommand } from '../../index.js'
import type { StreamingMediatorOptions } from '../../index.js'
import { Add, Count, Watch, deferred } from '../support/app.js'
import { CuttingProxy } from '../support/cutting-proxy.js'
import { createKept, portOf } from '../support/kept.js'
import type { KeptApp } from '../support/kept.js'
import { Type } from '@sinclair/typebox'

type Contracts = { count: typeof Count, watch: typeof Watch, add: typeof Add, dated: typeof Dated }

const Dated = defineCommand({
  name: 'dated',
  input: Type.Object({ at: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) }),
  result: Type.Object({ at: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) })
})

// Fast, because nothing here depends on how long it waits.
const reconnect = { delayMs: 10, maxDelayMs: 20, minDelayMs: 10 }

interface Subject extends KeptApp {
  readonly client: Client<Contracts>
  readonly proxy: CuttingProxy
  /** What the handler of `count` waits for before each progress but the first. */
  readonly gate: { promise: Promise<void>, resolve: () => void }
  readonly started: unknown[]
}

async function createSubject (t: Test, options: StreamingMediatorOptions = {}, client: Partial<ClientOptions> = {}): Promise<Subject> {
  const kept = await createKept(t, options)
  const gate = deferred()
  const started: unknown[] = []
  kept.app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    started.push(to)
    const aborted = once(signal, 'abort')
    if (to === 404) throw Object.assign(new Error('Nothing to count'), { statusCode: 404, code: 'NOTHING' })
    for (let n = 1; n <= to; n++) {
      if (n === 2) await Promise.race([gate.promise, aborted])
      yield { n }
    }
    if (to === 409) throw Object.assign(new Error('Counted too far'), { statusCode: 409, code: 'TOO_FAR' })
    return { total: to }
  })
  kept.app.mediator.addHandler(Watch, async function * ({ to }, { resumeAfter }) {
    yield { event: 'tock', data: { after: resumeAfter ?? null } }
    for (let n = 1; n <= to; n++) yield { event: 'tick', data: { n } }
    if (resumeAfter === undefined) await gate.promise
    return null
  })
  kept.app.mediator.addHandler(Add, ({ a, b }) => {
    started.push([a, b])
    return a + b
  })
  kept.app.mediator.addHandler(Dated, ({ at }) => ({ at }))
  await kept.app.register(commandRoutes, {
    prefix: '/commands', commands: [{ command: Count, crossSite: true }, { command: Watch, onDisconnect: 'abort' }, { command: Add, method: 'GET' }, Dated]
  })
  const proxy = await new CuttingProxy().start(t, await portOf(kept.app))
  return { ...kept, gate, started, proxy, client: createClient<Contracts>({ baseUrl: `${proxy.url}/commands/`, reconnect, ...client }) }
}

async function read<P> (stream: ClientStream<P, unknown>, onProgress: (progress: P) => unknown = () => {}): Promise<P[]> {
  const all: P[] = []
  for await (const progress of stream) {
    all.push(progress)
    await onProgress(progress)
  }
  return all
}

async function errorOf (promise: Promise<unknown>): Promise<ClientError> {
  return await promise.then(() => { throw new Error('It did not fail') }, error => error)
}

t.test('streams progress and result, and tells how it stands', async t => {
  const { client, gate } = await createSubject(t)
  gate.resolve()
  const stream = client.stream('count', { to: 3, label: 'n' })
  const states: string[] = [stream.state]
  stream.onStateChange = state => states.push(state)
  t.strictSame(await read(stream), [{ n: 1 }, { n: 2 }, { n: 3 }])
  t.strictSame(await stream.result, { total: 3 })
  t.strictSame(states, ['idle', 'connecting', 'open', 'complete'])
  t.match(stream, { state: 'complete', attempt: 1, streamId: /^[\w-]{22}$/, url: `/streams/${stream.streamId}`, lastEventId: `${stream.streamId}.5.end` })
  t.throws(() => stream[Symbol.asyncIterator](), TypeError)
})

t.test('goes on where it was when its connection is cut', async t => {
  const { client, gate, proxy, started } = await createSubject(t)
  const stream = client.stream('count', { to: 5, label: 'n' })
  const reconnects: unknown[] = []
  stream.onReconnect = ({ attempt, error }) => reconnects.push([attempt, error.code])
  const all = await read(stream, ({ n }) => {
    if (n !== 1) return
    proxy.cut()
    gate.resolve()
  })
  t.strictSame(all, [1, 2, 3, 4, 5].map(n => ({ n })))
  t.strictSame(await stream.result, { total: 5 })
  t.strictSame(reconnects, [[1, 'CLIENT_ERR_CONNECTION']])
  t.strictSame(started, [5])
})

t.test('a refusal before the first frame is a failure, with its problem', async t => {
  const { client } = await createSubject(t)
  const stream = client.stream('count', { to: 404, label: 'n' })
  const error = await errorOf(read(stream))
  t.ok(error instanceof ClientError)
  t.match(error, { name: 'ClientError', kind: 'failed', code: 'NOTHING', message: 'Nothing to count', retryable: false, problem: { status: 404, type: 'about:blank', title: 'Not Found' } })
  t.equal(stream.state, 'failed')
  t.equal(await errorOf(stream.result), error)
  const refused = await errorOf(client.stream('count', { to: -1, label: 'n' }).result)
  t.match(refused, { kind: 'failed', code: 'FST_ERR_VALIDATION', problem: { status: 400, errors: [{ field: 'to' }] } })
})

t.test('a failure after progress is told after it', async t => {
  const { client, gate } = await createSubject(t)
  const stream = client.stream('count', { to: 409, label: 'n' })
  const all: unknown[] = []
  const error = await errorOf(read(stream, progress => {
    all.push(progress)
    gate.resolve()
  }))
  t.equal(all.length, 409)
  t.match(error, { kind: 'failed', code: 'TOO_FAR', message: 'Counted too far', problem: { status: 409, instance: stream.streamId } })
  t.equal(stream.state, 'failed')
})

t.test('a stream that is not kept is truncated where its connection is lost, and is not asked for again', async t => {
  const { client, proxy, started } = await createSubject(t, { onDisconnect: 'abort' })
  const stream = client.stream('count', { to: 5, label: 'n' })
  const error = await errorOf(read(stream, () => proxy.cut()))
  t.match(error, { kind: 'truncated', code: 'CLIENT_ERR_CONNECTION', retryable: false })
  t.match(stream, { state: 'truncated', url: undefined })
  t.strictSame(started, [5])
})

t.test('a result that is awaited without a loop drains the stream, and one that nobody awaits is no unhandled rejection', async t => {
  const { client, gate } = await createSubject(t)
  gate.resolve()
  t.strictSame(await client.stream('count', { to: 3, label: 'n' }).result, { total: 3 })
  const failing = client.stream('count', { to: 404, label: 'n' })
  void failing.result
  await new Promise<void>(resolve => { failing.onStateChange = state => { if (state === 'failed') resolve() } })
  const read = client.stream('count', { to: 2, label: 'n' })
  const result = read.result
  const all: unknown[] = []
  for await (const progress of read) all.push(progress)
  t.strictSame([all.length, await result], [2, { total: 2 }], 'a loop that begins in the same turn reads it')
})

t.test('nothing is sent before a stream is read', async t => {
  const { client, started } = await createSubject(t)
  const stream = client.stream('count', { to: 1, label: 'n' })
  await stream.cancel()
  t.match(await errorOf(read(stream)), { kind: 'cancelled', code: 'CLIENT_ERR_CANCELLED' })
  t.match(await errorOf(stream.result), { kind: 'cancelled' })
  t.strictSame(started, [])
  t.equal(stream.state, 'cancelled')
})

t.test('send gives the result as JSON, or its problem', async t => {
  const { client, gate } = await createSubject(t)
  gate.resolve()
  t.strictSame(await client.send('count', { to: 3, label: 'n' }), { total: 3 })
  t.equal(await client.send('add', { a: 1, b: 2 }), 3)
  t.equal(await client.send('add', { a: 1, b: 2 }, { method: 'GET' }), 3)
  t.strictSame(await client.send('dated', { at: '2020-01-02T03:04:05.000Z' }), { at: '2020-01-02T03:04:05.000Z' })
  t.match(await errorOf(client.send('count', { to: 404, label: 'n' })), { kind: 'failed', code: 'NOTHING' })
  t.match(await errorOf(client.send('count', { to: 409, label: 'n' })), { kind: 'failed', code: 'TOO_FAR', problem: { status: 409 } })
})

t.test('cancel ends a stream that is kept, and its word on how it ended holds', async t => {
  const { client, ends } = await createSubject(t)
  const stream = client.stream('count', { to: 5, label: 'n' })
  const error = await errorOf(read(stream, () => { void stream.cancel() }))
  t.match(error, { kind: 'cancelled', code: 'MEDIATOR_ERR_CANCELLED', problem: { status: 409 } })
  t.equal(stream.state, 'cancelled')
  t.match(await ends.until(1), [{ reason: 'cancelled' }])
  await stream.cancel()
  t.equal(stream.state, 'cancelled')
})

t.test('a stream that has completed before it is cancelled is complete', async t => {
  const { client, gate, ends } = await createSubject(t)
  gate.resolve()
  const stream = client.stream('count', { to: 5, label: 'n' })
  for await (const progress of stream) {
    t.strictSame(progress, { n: 1 })
    await ends.until(1)
    await stream.cancel()
  }
  t.strictSame(await stream.result, { total: 5 })
  t.equal(stream.state, 'complete')
})

t.test('cancel of a stream that is not kept closes its connection, which ends it', async t => {
  const { client, ends } = await createSubject(t, { onDisconnect: 'abort' })
  const stream = client.stream('count', { to: 5, label: 'n' })
  t.match(await errorOf(read(stream, async () => await stream.cancel())), { kind: 'cancelled', code: 'CLIENT_ERR_CANCELLED', cause: undefined })
  t.match(await ends.until(1), [{ reason: 'client-closed' }])
})

t.test('cancel tells why the server could not be asked', async t => {
  const { client, proxy } = await createSubject(t)
  const stream = client.stream('count', { to: 5, label: 'n' })
  const error = await errorOf(read(stream, async () => {
    proxy.break()
    await stream.cancel()
  }))
  t.match(error, { kind: 'cancelled', cause: { code: 'CLIENT_ERR_CONNECTION' } })
})

t.test('the signal of a caller cancels: the stream rejects with its reason, and the server is told', async t => {
  const { client, ends } = await createSubject(t)
  const controller = new AbortController()
  const stream = client.stream('count', { to: 5, label: 'n' }, { signal: controller.signal })
  const reason = new Error('Enough')
  t.equal(await errorOf(read(stream, () => controller.abort(reason))), reason)
  t.match(await ends.until(1), [{ reason: 'cancelled' }])
  t.equal(stream.state, 'cancelled')
  const late = client.stream('count', { to: 5, label: 'n' }, { signal: controller.signal })
  t.equal(await errorOf(late.result), reason)
})

t.test('leaving the loop leaves the stream, which can be attached to where it was left', async t => {
  const { client, gate, started } = await createSubject(t)
  const stream = client.stream('count', { to: 4, label: 'n' })
  for await (const { n } of stream) if (n === 1) break
  t.match(await errorOf(stream.result), { kind: 'truncated', code: 'CLIENT_ERR_LEFT' })
  gate.resolve()
  const { url, lastEventId } = stream
  const again = client.attach<'count'>(url!, { lastEventId })
  t.strictSame(await read(again), [{ n: 2 }, { n: 3 }, { n: 4 }])
  t.strictSame(await again.result, { total: 4 })
  t.strictSame(await read(client.attach<'count'>(new URL(url!).pathname)), [1, 2, 3, 4].map(n => ({ n })), 'from its start, by its path')
  t.strictSame(started, [4])
  const seen = client.attach<'count'>(url!, { lastEventId: again.lastEventId })
  t.strictSame([await read(seen), await seen.result, seen.state], [[], { total: 4 }, 'complete'], 'who has seen the end is told the result')
})

t.test('a loop can be left while the server is silent', async t => {
  const { client } = await createSubject(t)
  const stream = client.stream('count', { to: 4, label: 'n' })
  const frames = stream[Symbol.asyncIterator]()
  t.strictSame(await frames.next(), { done: false, value: { n: 1 } })
  const next = errorOf(frames.next())
  t.strictSame(await frames.return!(), { done: true, value: undefined })
  t.match(await next, { code: 'CLIENT_ERR_LEFT' })
})

t.test('a request with a key is sent again until it is answered, and starts its command once', async t => {
  const { client, proxy, started, gate } = await createSubject(t)
  gate.resolve()
  proxy.loseAnswers()
  const stream = client.stream('count', { to: 2, label: 'n' }, { idempotencyKey: crypto.randomUUID() })
  stream.onReconnect = ({ attempt }) => { if (attempt === 2) proxy.mend() }
  t.strictSame(await read(stream), [{ n: 1 }, { n: 2 }])
  t.strictSame(started, [2])
  proxy.loseAnswers()
  const sent = client.stream('count', { to: 2, label: 'n' })
  t.match(await errorOf(sent.result), { kind: 'truncated', code: 'CLIENT_ERR_CONNECTION', retryable: false }, 'and without one it is not')
  t.strictSame(started, [2, 2])
})

t.test('a query is sent again by GET, and told where its reader was', async t => {
  const { client, proxy } = await createSubject(t)
  const stream = client.stream('watch', { to: 2 }, { method: 'GET' })
  const all = await read(stream, progress => { if (progress.event === 'tick' && progress.data.n === 2) proxy.cut() })
  t.strictSame(all, [
    { event: 'tock', data: { after: null } }, { event: 'tick', data: { n: 1 } }, { event: 'tick', data: { n: 2 } },
    { event: 'tock', data: { after: 4 } }, { event: 'tick', data: { n: 1 } }, { event: 'tick', data: { n: 2 } }
  ])
  t.equal(await stream.result, null)
})

t.test('a stream that the server does not know any more is truncated, and says so', async t => {
  const { client } = await createSubject(t)
  const error = await errorOf(client.attach('/streams/AAAAAAAAAAAAAAAAAAAAAA').result)
  t.match(error, { kind: 'truncated', code: 'MEDIATOR_ERR_STREAM_NOT_FOUND', retryable: false, problem: { status: 404 } })
})

t.test('a server that is restarted loses its streams, and the client says so', async t => {
  const { client, app, proxy } = await createSubject(t, { closeGraceMs: 0 })
  const stream = client.stream('count', { to: 5, label: 'n' })
  const error = await errorOf(read(stream, async () => {
    await app.close()
    proxy.cut()
  }))
  t.match(error, { kind: /failed|truncated/, code: /SHUTTING_DOWN|CLIENT_ERR_CONNECTION/, retryable: true })
})

t.test('a url of another origin is refused before anything is sent', async t => {
  const { client } = await createSubject(t)
  for (const url of ['https://example.com/streams/x', '//example.com/x', 'data:,x']) {
    const stream = client.attach(url)
    t.match(await errorOf(stream.result), { name: 'TypeError', message: /^Unexpected/ })
    t.equal(stream.state, 'failed')
  }
})

t.test('headers are made for each attempt', async t => {
  let calls = 0
  const { client, proxy, gate } = await createSubject(t, { owner: ({ headers }) => /^\d$/.exec(String(headers['x-call']))?.[0] && 'ada' },
    { headers: async () => ({ 'x-call': String(++calls), Accept: 'text/html' }) })
  const stream = client.stream('count', { to: 3, label: 'n' })
  await read(stream, ({ n }) => {
    if (n !== 1) return
    proxy.cut()
    gate.resolve()
  })
  t.equal(stream.state, 'complete')
  t.equal(calls, 2)
})
