import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineCommand } from '../../lib/definition.js'
import { defineEvent } from '../../lib/event.js'
import type { StreamEnd } from '../../lib/stream-end.js'
import { Add, Count } from '../support/app.js'
import { StreamEnds, nothing } from '../support/stream-ends.js'
import { collect, createMediator, deferred, leave, rejection, within } from './support.js'

const input = { to: 3, label: 'n' }
const Counted = defineEvent({ name: 'stream-end.counted', payload: Type.Object({ n: Type.Integer() }) })
const Summed = defineEvent({ name: 'stream-end.summed', payload: Type.Object({}) })

t.test('tells of a stream that has completed, once, with its events and follow-ups and how long it took', async t => {
  const { mediator } = createMediator(t)
  const ends = new StreamEnds(mediator)
  const gate = deferred()
  mediator.addEventHandler(Counted, ({ payload: { n } }, { emit }) => { if (n === 1) emit(Summed, {}) })
  mediator.addEventHandler(Summed, async () => await gate.promise)
  mediator.addHandler(Count, async function * ({ to }, { emit }) {
    for (let n = 1; n <= to; n++) {
      emit(Counted, { n })
      yield { n }
    }
    return { total: to }
  })
  const startedAt = performance.now()
  const stream = mediator.stream(Count, input, { owner: 'ada' })
  const reading = collect(stream)
  while (mediator.stats().runningEventHandlers !== 1) await turn()
  await turn()
  t.strictSame(ends.all, [], 'not before its events have settled')
  t.strictSame(mediator.stats(), { streams: 1, owners: 1, detachedHandlers: 0, runningEventHandlers: 1, waitingEventHandlers: 0 })
  gate.resolve()
  await reading
  const took = performance.now() - startedAt
  t.match(ends.all, [{
    streamId: stream.streamId, command: 'count', owner: 'ada', reason: 'completed', events: 4, frames: 0, bytes: 0, error: undefined
  }])
  t.ok(ends.all[0]!.durationMs > 0 && ends.all[0]!.durationMs <= took, `${ends.all[0]!.durationMs} ms of ${took}`)
  t.strictSame(mediator.stats(), nothing)
})

for (const [what, reason, error, run] of [
  ['failed', 'failed', { message: 'broken' }, async mediator => {
    mediator.addHandler(Add, async () => { throw new Error('broken') })
    await rejection(mediator.send(Add, { a: 1, b: 2 }))
  }],
  ['failed synchronously', 'failed', { message: 'broken' }, async mediator => {
    mediator.addHandler(Add, () => { throw new Error('broken') })
    await rejection(mediator.send(Add, { a: 1, b: 2 }))
  }],
  ['failed by an event handler', 'failed', { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause: { message: 'broken' } }, async mediator => {
    mediator.addEventHandler(Counted, () => { throw new Error('broken') })
    mediator.addHandler(Count, async function * (_input, { emit, signal }) {
      emit(Counted, { n: 1 })
      yield { n: 1 }
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      return { total: 1 }
    })
    await rejection(mediator.send(Count, input))
  }],
  ['was cancelled', 'cancelled', { code: 'MEDIATOR_ERR_STREAM_ABORTED', cause: 'enough' }, async mediator => {
    mediator.addHandler(Count, async function * () { for (let n = 1; ; n++) yield { n } })
    const stream = mediator.stream(Count, input)
    await stream[Symbol.asyncIterator]().next()
    stream.abort('enough')
    await rejection(stream.result)
  }],
  ['was left', 'cancelled', { code: 'MEDIATOR_ERR_STREAM_ABORTED' }, async mediator => {
    mediator.addHandler(Count, async function * () { for (let n = 1; ; n++) yield { n } })
    await leave(mediator.stream(Count, input))
  }],
  ['was cancelled by a signal', 'cancelled', { code: 'MEDIATOR_ERR_STREAM_ABORTED', cause: { name: 'AbortError' } }, async mediator => {
    const controller = new AbortController()
    mediator.addHandler(Count, async function * (_input, { signal }) {
      yield { n: 1 }
      controller.abort()
      await new Promise((_resolve, reject) => {
        if (signal.aborted) reject(signal.reason)
      })
      return { total: 1 }
    })
    await rejection(mediator.send(Count, input, { signal: controller.signal }))
  }],
  ['reached its deadline', 'deadline', { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'deadline' }, async mediator => {
    mediator.addHandler(Count, async function * () { for (let n = 1; ; n++) yield { n } }, { maxStreamMs: 20 })
    await rejection(mediator.send(Count, input))
  }],
  ['was open at the close', 'shutdown', { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'shutdown' }, async mediator => {
    mediator.addHandler(Count, async function * () { for (let n = 1; ; n++) yield { n } })
    const failing = rejection(mediator.send(Count, input))
    await turn()
    await mediator.close()
    await failing
  }]
] as ReadonlyArray<readonly [string, string, object, (mediator: ReturnType<typeof createMediator>['mediator']) => Promise<void>]>) {
  t.test(`tells of a stream that ${what}, once, and counts nothing afterwards`, async t => {
    const { mediator } = createMediator(t)
    const ends = new StreamEnds(mediator)
    await within(10_000, run(mediator))
    await ends.until(1)
    await turn()
    t.match(ends.all, [{ reason, error, frames: 0, bytes: 0 }])
    t.equal(ends.all.length, 1)
    t.strictSame(mediator.stats(), nothing)
  })
}

t.test('never tells of a stream that did not start', async t => {
  const { mediator } = createMediator(t, { maxStreams: 1 })
  const ends = new StreamEnds(mediator)
  const gate = deferred()
  mediator.addHandler(Add, async ({ a, b }) => {
    await gate.promise
    return a + b
  })
  const first = mediator.send(Add, { a: 1, b: 2 })
  await turn()
  t.match(await rejection(mediator.send(Add, { a: 1, b: 2 })), { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS' })
  const aborted = mediator.stream(Add, { a: 1, b: 2 })
  aborted.abort()
  await rejection(aborted.result)
  await rejection(mediator.send(Add, { a: 1, b: 2 }, { signal: AbortSignal.abort() }))
  mediator.stream(Add, { a: 1, b: 2 })
  gate.resolve()
  await first
  await mediator.close()
  t.match(await rejection(mediator.send(Add, { a: 1, b: 2 })), { code: 'MEDIATOR_ERR_SHUTTING_DOWN' })
  t.strictSame(ends.reasons, ['completed'])
})

t.test('tells of nested streams as well, each with events of its own', async t => {
  const { mediator } = createMediator(t)
  const ends = new StreamEnds(mediator)
  mediator.addEventHandler(Counted, () => {})
  mediator.addHandler(Add, async ({ a, b }, { emit }) => {
    emit(Counted, { n: a })
    return a + b
  })
  mediator.addHandler(Count, async function * (_input, { mediator: calls }) {
    return { total: await calls.send(Add, { a: 1, b: 2 }) }
  })
  t.strictSame(await mediator.send(Count, input, { owner: 'ada' }), { total: 3 })
  t.strictSame(ends.all.map(({ command, owner, events }) => ({ command, owner, events })), [
    { command: 'add', owner: undefined, events: 1 }, { command: 'count', owner: 'ada', events: 0 }
  ])
})

t.test('tells every hook, logs those that fail, and goes on', async t => {
  const { mediator, logs } = createMediator(t)
  const told: StreamEnd[] = []
  mediator.onStreamEnd(() => { throw new Error('sync') })
  mediator.onStreamEnd(async () => { throw new Error('async') })
  mediator.onStreamEnd(() => ({ get then () { throw new Error('thenable') } }))
  // eslint-disable-next-line prefer-promise-reject-errors
  mediator.onStreamEnd(() => Promise.reject('text'))
  mediator.onStreamEnd(end => { told.push(end) })
  mediator.addHandler(Add, ({ a, b }) => a + b)
  const stream = mediator.stream(Add, { a: 1, b: 2 })
  t.equal(await stream.result, 3)
  await turn()
  t.equal(told.length, 1)
  const failures = logs.filter(({ msg }) => msg === 'hook failed after the end of a stream')
  t.match(failures, Array.from({ length: 4 }, () => ({ level: 50, streamId: stream.streamId, command: 'add' })))
  t.strictSame(failures.map(({ err }) => (err as { message?: string }).message ?? err).sort(), ['async', 'sync', 'text', 'thenable'])
})

t.test('a hook may start a stream, add a hook and close the mediator', async t => {
  const { mediator } = createMediator(t)
  const told: string[] = []
  mediator.addHandler(Add, ({ a, b }) => a + b)
  let nested: Promise<number> | undefined
  let closing: Promise<void> | undefined
  mediator.onStreamEnd(({ streamId }) => {
    told.push(streamId)
    if (nested !== undefined) return
    nested = mediator.send(Add, { a: 3, b: 4 })
    void nested.then(() => { closing = mediator.close() })
  })
  await mediator.send(Add, { a: 1, b: 2 })
  t.equal(await nested, 7)
  await turn()
  await closing
  t.equal(told.length, 2)
})

t.test('refuses a hook that is no function', async t => {
  const { mediator } = createMediator(t)
  for (const hook of [undefined, null, {}, 'log']) {
    t.throws(() => mediator.onStreamEnd(hook as never), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /the hook must be a function/ })
  }
})

t.test('counts the event handlers that run and that wait, of sequential streams and on lent permits too', async t => {
  const { mediator } = createMediator(t, { maxConcurrentEventHandlers: 1 })
  const gates = { [Counted.name]: deferred(), [Summed.name]: deferred() }
  const Emit = defineCommand({ name: 'emit', input: Type.Integer(), result: Type.Null() })
  mediator.addHandler(Emit, async (count, { emit }) => {
    for (let each = 0; each < count; each++) emit(Summed, {})
    return null
  })
  mediator.addHandler(Count, async function * ({ to }, { emit }) {
    for (let n = 1; n <= to; n++) emit(Counted, { n })
    return { total: to }
  }, { eventOrder: 'sequential' })
  mediator.addEventHandler(Counted, async (_event, { mediator: calls }) => {
    await gates[Counted.name]!.promise
    await calls.send(Emit, 2)
  })
  mediator.addEventHandler(Summed, async () => await gates[Summed.name]!.promise)
  const running = mediator.send(Count, input)
  while (mediator.stats().runningEventHandlers === 0) await turn()
  t.strictSame(mediator.stats(), { ...nothing, streams: 1, runningEventHandlers: 1, waitingEventHandlers: 2 })
  gates[Counted.name]!.resolve()
  while (mediator.stats().runningEventHandlers === 1) await turn()
  t.strictSame(mediator.stats(), { ...nothing, streams: 2, runningEventHandlers: 2, waitingEventHandlers: 3 }, 'its maker waits, on its permit')
  gates[Summed.name]!.resolve()
  await running
  t.strictSame(mediator.stats(), nothing)
})

t.test('counts no event handlers any more that were dropped at the close, and those that go on until they end', async t => {
  const { mediator, logs } = createMediator(t, { maxConcurrentEventHandlers: 2 })
  const gate = deferred()
  mediator.addEventHandler(Counted, async () => await gate.promise)
  mediator.addHandler(Count, async function * ({ to }, { emit }) {
    for (let n = 1; n <= to; n++) emit(Counted, { n })
    return { total: to }
  })
  const failing = rejection(mediator.send(Count, { to: 5, label: '' }))
  const sequential = rejection(mediator.publish(Counted, { n: 9 }))
  while (mediator.stats().runningEventHandlers < 2) await turn()
  t.strictSame(mediator.stats(), { ...nothing, streams: 1, runningEventHandlers: 2, waitingEventHandlers: 4 })
  await within(10_000, mediator.close())
  await Promise.all([failing, sequential])
  t.match(logs.filter(({ level }) => level === 40), [{ running: 2, dropped: 4 }])
  t.strictSame(mediator.stats(), { ...nothing, runningEventHandlers: 2 }, 'never fewer than none')
  gate.resolve()
  while (mediator.stats().runningEventHandlers > 0) await turn()
  t.strictSame(mediator.stats(), nothing)
})
