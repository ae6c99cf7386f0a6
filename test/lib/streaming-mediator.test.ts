import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import t from 'tap'
import { defineCommand, defineQuery } from '../../lib/definition.js'
import { defineEvent } from '../../lib/event.js'
import type { EventContext } from '../../lib/event.js'
import { StreamingMediator } from '../../lib/streaming-mediator.js'
import type { MediatorOptions } from '../../lib/mediator-options.js'
import { createLog } from '../support/app.js'
import { randomFrom } from '../support/random.js'
import { collect, createMediator, deferred, rejection, within } from './support.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => { unhandled.push(error) })

const Work = defineCommand({ name: 'work', input: Type.Integer(), progress: Type.Integer(), result: Type.Any() })
const Add = defineCommand({ name: 'add', input: Type.Object({ a: Type.Integer(), b: Type.Integer() }), result: Type.Integer() })
const Happened = defineEvent({ name: 'happened', payload: Type.Any() })
const Other = defineEvent({ name: 'other', payload: Type.Any() })

const turn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })
const never = new Promise<never>(() => {})

t.test('options', async t => {
  t.test('have defaults', async t => {
    t.doesNotThrow(() => new StreamingMediator())
    t.doesNotThrow(() => new StreamingMediator({ maxPendingEvents: Infinity, maxConcurrentEventHandlers: Infinity }))
  })

  for (const options of [
    { maxConcurrentEventHandlers: 0 }, { maxConcurrentEventHandlers: 1.5 }, { maxConcurrentEventHandlers: '10' }, { maxPendingEvents: 0 },
    { closeGraceMs: -1 }, { closeGraceMs: 2 ** 31 }, { closeGraceMs: Infinity }, { maxEvents: 5 }
  ] as MediatorOptions[]) {
    t.test(`refuse ${JSON.stringify(options)}`, async t => {
      t.throws(() => new StreamingMediator(options), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /StreamingMediator/ })
    })
  }

  t.test('run ten event handlers at once by default', async t => {
    const { mediator } = createMediator(t)
    const gate = deferred()
    let running = 0
    mediator.addEventHandler(Happened, async () => {
      running++
      await gate.promise
    })
    const published = Array.from({ length: 11 }, () => mediator.publish(Happened, 1))
    t.equal(running, 10)
    gate.resolve()
    await Promise.all(published)
    t.equal(running, 11)
  })
})

t.test('handlers', async t => {
  t.test('are known once they are added', async t => {
    const { mediator } = createMediator(t)
    t.equal(mediator.hasHandler(Add), false)
    mediator.addHandler(Add, ({ a, b }) => a + b)
    t.equal(mediator.hasHandler(Add), true)
    t.equal(await mediator.send(Add, { a: 1, b: 2 }), 3)
  })

  t.test('are one a command', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Add, () => 1)
    t.throws(() => mediator.addHandler(Add, () => 2), { code: 'MEDIATOR_ERR_DUPLICATE_HANDLER', message: /"add"/ })
    t.throws(() => mediator.addHandler(defineQuery({ name: 'add', input: Type.Null() }), () => {}), { code: 'MEDIATOR_ERR_DUPLICATE_HANDLER' })
    t.equal(await mediator.send(Add, { a: 0, b: 0 }), 1)
  })

  for (const handler of [undefined, null, 1, {}, Promise.resolve(), []]) {
    t.test(`are functions, classes or names and not ${JSON.stringify(handler)}`, async t => {
      const { mediator } = createMediator(t)
      const expected = { code: 'MEDIATOR_ERR_INVALID_HANDLER', message: /got (?:null|undefined|number|object|an empty chain)$/ }
      t.throws(() => mediator.addHandler(Add, handler as unknown as () => number), expected)
      t.throws(() => mediator.addEventHandler(Happened, handler as unknown as () => void), expected)
      t.equal(mediator.hasHandler(Add), false)
    })
  }

  t.test('are no generators where they handle events: they would never run', async t => {
    const { mediator } = createMediator(t)
    const expected = { code: 'MEDIATOR_ERR_INVALID_HANDLER', message: /whose yields nobody would read/ }
    t.throws(() => mediator.addEventHandler(Happened, async function * () { yield 1 }), expected)
    t.throws(() => mediator.addEventHandler(Happened, function * () { yield 1 }), expected)
    t.throws(() => mediator.addEventHandler(Happened, class { async * handle () { yield 1 } }), expected)
  })

  t.test('are of definitions that the project made', async t => {
    const { mediator } = createMediator(t)
    const expected = { code: 'MEDIATOR_ERR_INVALID_DEFINITION' }
    t.throws(() => mediator.addHandler({ ...Add }, () => 1), { ...expected, message: /defineCommand/ })
    t.throws(() => mediator.addHandler(undefined as unknown as typeof Add, () => 1), expected)
    t.throws(() => mediator.addEventHandler({ name: 'happened' } as unknown as typeof Happened, () => {}), { ...expected, message: /defineEvent/ })
    t.throws(() => mediator.addEventHandler(Add as unknown as typeof Happened, () => {}), { ...expected, message: /defineEvent/ })
  })

  t.test('are missed at once', async t => {
    const { mediator } = createMediator(t)
    t.throws(() => mediator.stream(Work, 1), { code: 'MEDIATOR_ERR_UNKNOWN_COMMAND', message: /"work"/ })
    t.match(await rejection(mediator.send(Work, 1)), { code: 'MEDIATOR_ERR_UNKNOWN_COMMAND' })
  })

  t.test('of the same mediator run beside each other', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Work, async function * (input) {
      yield input
      await turn()
      yield input + 1
      return { input }
    })
    const streams = [1, 10, 100].map(input => mediator.stream(Work, input))
    t.strictSame(await Promise.all(streams.map(collect)), [[1, 2], [10, 11], [100, 101]])
    t.strictSame(await Promise.all(streams.map(({ result }) => result)), [{ input: 1 }, { input: 10 }, { input: 100 }])
    t.equal(new Set(streams.map(({ streamId }) => streamId)).size, 3)
  })
})

t.test('send', async t => {
  t.test('drops progress and resolves with the result', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Work, async function * () {
      yield 1
      yield 2
      return 'result'
    })
    t.equal(await mediator.send(Work, 1), 'result')
  })

  t.test('rejects with what the handler threw', async t => {
    const { mediator } = createMediator(t)
    const error = new Error('broken')
    mediator.addHandler(Work, async function * () {
      yield 1
      throw error
    })
    t.equal(await rejection(mediator.send(Work, 1)), error)
  })

  t.test('takes the options of a stream', async t => {
    const { mediator } = createMediator(t)
    const greeted = deferred()
    mediator.addHandler(Work, async function * (_input, { signal, log }) {
      yield 1
      log.info('hello')
      greeted.resolve()
      await new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
      return 'not reached'
    })
    const { logs, logger: { level, stream } } = createLog()
    const controller = new AbortController()
    const sent = rejection(mediator.send(Work, 1, { signal: controller.signal, log: pino({ level }, stream).child({ reqId: 'req-1' }) }))
    await greeted.promise
    controller.abort()
    t.match(await sent, { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
    t.match(logs, [{ msg: 'hello', reqId: 'req-1', command: 'work' }])
  })
})

t.test('publish', async t => {
  t.test('resolves when every handler has settled', async t => {
    const { mediator } = createMediator(t)
    const gate = deferred()
    const seen: unknown[] = []
    mediator.addEventHandler(Happened, async ({ name, payload }) => {
      await gate.promise
      seen.push(name, payload)
    })
    let resolved = false
    const published = mediator.publish(Happened, { n: 1 }).then(() => { resolved = true })
    await turn()
    t.equal(resolved, false)
    gate.resolve()
    await within(1_000, published)
    t.strictSame(seen, ['happened', { n: 1 }])
  })

  t.test('resolves where nobody handles the event', async t => {
    const { mediator } = createMediator(t)
    await t.resolves(within(1_000, mediator.publish(Happened, 1)))
  })

  t.test('rejects with what the handlers threw, once all have settled', async t => {
    const { mediator, logs } = createMediator(t)
    const cause = new Error('event handler')
    let others = 0
    mediator.addEventHandler(Happened, () => { throw cause })
    mediator.addEventHandler(Happened, async () => {
      await turn()
      others++
    })
    t.match(await rejection(mediator.publish(Happened, 1)), { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', message: /"happened"/, cause })
    t.equal(others, 1)
    t.match(logs, [{ level: 50, event: 'happened', err: { message: 'event handler' } }])
  })

  t.test('refuses what is no event', async t => {
    const { mediator } = createMediator(t)
    for (const event of [undefined, { name: 'happened' }, Add]) {
      t.match(await rejection(mediator.publish(event as unknown as typeof Happened, 1)), { code: 'MEDIATOR_ERR_INVALID_DEFINITION' })
    }
  })
})

t.test('the limit of event handlers', async t => {
  t.test('is never exceeded by twenty streams, and is used up', async t => {
    const { mediator } = createMediator(t, { maxConcurrentEventHandlers: 3 })
    let running = 0
    let most = 0
    let handled = 0
    for (const event of [Happened, Other]) {
      mediator.addEventHandler(event, async () => {
        most = Math.max(most, ++running)
        await turn()
        running--
        handled++
      })
    }
    mediator.addHandler(Work, async function * (_input, { emit }) {
      for (let n = 0; n < 5; n++) {
        emit(Happened, n)
        emit(Other, n)
        yield n
      }
      emit(Happened, 'last')
      return null
    })
    await within(10_000, Promise.all(Array.from({ length: 20 }, (_, n) => mediator.send(Work, n))))
    t.equal(most, 3)
    t.equal(handled, 20 * 11)
  })

  t.test('of one is strictly in the order of the emits, over two streams', async t => {
    const { mediator } = createMediator(t, { maxConcurrentEventHandlers: 1 })
    const emitted: string[] = []
    const started: string[] = []
    const ended: string[] = []
    mediator.addEventHandler(Happened, async ({ payload }) => {
      started.push(payload)
      for (let turns = payload.length % 3; turns > 0; turns--) await turn()
      ended.push(payload)
    })
    mediator.addHandler(Work, async function * (input, { emit }) {
      for (let n = 0; n < 10; n++) {
        const payload = `${input}.${'x'.repeat(n)}`
        emitted.push(payload)
        emit(Happened, payload)
        yield n
        if (n % 4 === input) await turn()
      }
      return null
    })
    await within(10_000, Promise.all([mediator.send(Work, 1), mediator.send(Work, 2)]))
    t.strictSame(started, emitted)
    t.strictSame(ended, emitted)
  })
})

t.test('close', async t => {
  t.test('resolves at once where nothing runs, as often as it is called', async t => {
    const { mediator } = createMediator(t, { closeGraceMs: 60_000 })
    mediator.addHandler(Work, async function * () { yield 1 })
    mediator.stream(Work, 1)
    await within(500, Promise.all([mediator.close(), mediator.close()]))
    await within(500, mediator.close())
  })

  t.test('waits for streams and their events', async t => {
    const { mediator, logs } = createMediator(t, { closeGraceMs: 60_000 })
    const [work, event] = [deferred(), deferred()]
    mediator.addHandler(Work, async function * (_input, { emit }) {
      emit(Happened, 1)
      yield 1
      await work.promise
      return 'result'
    })
    mediator.addEventHandler(Happened, () => event.promise)
    const sent = mediator.send(Work, 1)
    await turn()
    let closed = false
    const closing = mediator.close().then(() => { closed = true })
    work.resolve()
    await turn()
    t.equal(closed, false)
    event.resolve()
    t.equal(await within(500, sent), 'result')
    await within(500, closing)
    t.strictSame(logs, [])
  })

  t.test('waits for what was published', async t => {
    const { mediator, logs } = createMediator(t, { closeGraceMs: 60_000 })
    const gate = deferred()
    mediator.addEventHandler(Happened, () => gate.promise)
    const published = mediator.publish(Happened, 1)
    let closed = false
    const closing = mediator.close().then(() => { closed = true })
    await turn()
    t.equal(closed, false)
    gate.resolve()
    await within(500, Promise.all([published, closing]))
    t.strictSame(logs, [])
  })

  t.test('refuses new work, also of streams that were not read yet', async t => {
    const { mediator } = createMediator(t, { closeGraceMs: 60_000 })
    const gate = deferred()
    let calls = 0
    mediator.addHandler(Work, async function * (input) {
      calls++
      yield input
      await gate.promise
    })
    const running = mediator.send(Work, 1)
    const unread = mediator.stream(Work, 2)
    await turn()
    const closing = mediator.close()
    const refused = { code: 'MEDIATOR_ERR_SHUTTING_DOWN', statusCode: 503 }
    t.match(await rejection(collect(unread)), refused)
    t.match(await rejection(unread.result), refused)
    t.match(await rejection(mediator.send(Work, 3)), refused)
    t.match(await rejection(mediator.publish(Happened, 1)), refused)
    t.equal(calls, 1)
    gate.resolve()
    await within(500, Promise.all([running, closing]))
    t.match(await rejection(mediator.publish(Happened, 1)), refused)
  })

  t.test('ends what runs after its grace, with reason shutdown', async t => {
    const { mediator, logs } = createMediator(t, { closeGraceMs: 20 })
    let ended = false
    const started = deferred()
    mediator.addHandler(Work, async function * (_input, { signal }) {
      try {
        yield 1
        started.resolve()
        await new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
      } finally {
        await turn()
        ended = true
      }
      return null
    })
    const stream = mediator.stream(Work, 1)
    const read = collect(stream)
    read.catch(() => {})
    await started.promise
    const startedAt = performance.now()
    await within(5_000, mediator.close())
    const ms = performance.now() - startedAt
    t.ok(ms >= 15 && ms < 500, `${ms} ms`)
    t.equal(ended, true)
    t.match(await rejection(read), { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'shutdown' })
    t.match(await rejection(stream.result), { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'shutdown' })
    t.equal(stream.endReason, 'shutdown')
    t.strictSame(logs, [])
  })

  t.test('aborts event handlers and drops those that wait, and logs how many', async t => {
    const { mediator, logs } = createMediator(t, { closeGraceMs: 0, maxConcurrentEventHandlers: 2 })
    const contexts: EventContext[] = []
    mediator.addEventHandler(Happened, async (_event, context) => {
      contexts.push(context)
      await new Promise((_resolve, reject) => { context.signal.addEventListener('abort', () => reject(context.signal.reason)) })
    })
    const published = rejection(Promise.all([1, 2, 3, 4, 5].map(n => mediator.publish(Happened, n))))
    await within(900, mediator.close())
    t.equal(contexts.length, 2)
    t.match(contexts[0]!.signal.reason, { code: 'MEDIATOR_ERR_SHUTTING_DOWN' })
    t.match(await published, { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause: { code: 'MEDIATOR_ERR_SHUTTING_DOWN' } })
    t.match(logs.find(({ level }) => level === 40), { running: 0, dropped: 3, msg: 'event handlers did not finish before the mediator closed' })
  })

  t.test('returns although everything ignores its signal', async t => {
    const { mediator, logs } = createMediator(t, { closeGraceMs: 0, maxConcurrentEventHandlers: 1 })
    mediator.addEventHandler(Happened, () => never)
    mediator.addHandler(Work, async function * (_input, { emit }) {
      emit(Happened, 1)
      emit(Happened, 2)
      yield 1
      await never
    })
    const sent = rejection(mediator.send(Work, 1))
    const published = rejection(mediator.publish(Happened, 3))
    await turn()
    await within(3_000, mediator.close())
    t.match(await within(100, sent), { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'shutdown' })
    t.match(await within(100, published), { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED' })
    t.equal(mediator.stats().streams, 0)
    t.match(logs.map(({ msg }) => msg).sort(), [/event handlers did not finish/, /handler goes on/])
    t.match(logs.find(({ msg }) => msg.startsWith('event')), { level: 40, running: 1, dropped: 2 })
  })

  t.test('ends a stream that waits for its events after a failure', async t => {
    const { mediator } = createMediator(t, { closeGraceMs: 0 })
    mediator.addEventHandler(Happened, () => never)
    mediator.addEventHandler(Other, () => { throw new Error('event handler') })
    mediator.addHandler(Work, async function * (_input, { emit }) {
      emit(Happened, 1)
      emit(Other, 1)
      yield 1
      return null
    })
    const sent = rejection(mediator.send(Work, 1))
    await turn()
    await within(3_000, mediator.close())
    t.match(await within(100, sent), { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause: AggregateError })
  })

  t.test('drops the events that a handler emits while it is being ended', async t => {
    const { mediator, logs } = createMediator(t, { closeGraceMs: 0 })
    let handled = 0
    mediator.addEventHandler(Happened, () => { handled++ })
    mediator.addHandler(Work, async function * (_input, { emit, signal }) {
      try {
        yield 1
        await new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
      } finally {
        await turn()
        emit(Happened, 1)
      }
      return null
    })
    const sent = rejection(mediator.send(Work, 1))
    await turn()
    await within(900, mediator.close())
    t.match(await sent, { reason: 'shutdown' })
    t.equal(handled, 0)
    t.match(logs, [{ running: 0, dropped: 1 }])
  })
})

t.test('keeps its promises for any schedule', async t => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed}`)
  const random = randomFrom(seed)
  const integer = (below: number): number => Math.floor(random() * below)
  const pause = async (): Promise<void> => { for (let turns = integer(3); turns > 0; turns--) await turn() }

  for (let run = 0; run < 300; run++) {
    const limit = 1 + integer(4)
    const maxPendingEvents = 1 + integer(6)
    const { mediator } = createMediator(t, { maxConcurrentEventHandlers: limit, maxPendingEvents, closeGraceMs: 60_000 })
    const emitted: string[] = []
    const handled: string[] = []
    const problems: string[] = []
    const open = new Map<string, number>()
    const eventsFail = random() < 0.2
    let running = 0
    let generators = 0

    mediator.addEventHandler(Happened, async ({ payload }) => {
      if (++running > limit) problems.push(`${running} event handlers run at a limit of ${limit}`)
      await pause()
      running--
      handled.push(payload)
      if (eventsFail && random() < 0.1) throw new Error('event handler')
    })
    mediator.addHandler(Work, async function * (input, { emit, signal, streamId }) {
      generators++
      const fact = (): void => {
        const payload = `${input}.${emitted.length}`
        emitted.push(payload)
        emit(Happened, payload)
      }
      try {
        for (let step = integer(8); step > 0; step--) {
          for (let events = integer(4); events > 0; events--) fact()
          const before = open.get(streamId) ?? 0
          open.set(streamId, before + 1)
          if (random() < 0.5) await pause()
          if (random() < 0.05) throw new Error('handler')
          if (random() < 0.05) await new Promise((_resolve, reject) => { signal.aborted ? reject(signal.reason) : signal.addEventListener('abort', () => reject(signal.reason)) })
          if (random() < 0.9) yield step
        }
        if (random() < 0.5) fact()
        return { input }
      } finally {
        if (random() < 0.3) fact()
        if (random() < 0.3) await pause()
        if (random() < 0.3) fact()
        generators--
      }
    })

    const ends = Array.from({ length: 1 + integer(4) }, async (_, n) => {
      await pause()
      const controller = new AbortController()
      const stream = mediator.stream(Work, n, { signal: controller.signal })
      const mode = integer(4)
      // Some handlers wait for their signal, so every stream is aborted at last.
      const aborting = (async () => {
        for (let turns = mode === 0 ? integer(6) : 60; turns > 0; turns--) await turn()
        random() < 0.5 ? stream.abort() : controller.abort()
      })()
      if (mode === 1) {
        const left = integer(4)
        let count = 0
        try {
          for await (const value of stream) if (value < 0 || count++ === left) break
        } catch {}
      } else if (mode === 2) {
        const iterator = stream[Symbol.asyncIterator]()
        const steps = await Promise.allSettled(Array.from({ length: 12 }, () => iterator.next()))
        const firstDone = steps.findIndex(step => step.status === 'rejected' || step.value.done)
        if (firstDone >= 0 && steps.slice(firstDone + 1).some(step => step.status === 'rejected' || !step.value.done)) problems.push('progress after the end')
        await iterator.return!()
      }
      const outcome = await stream.result.then(value => ({ value }), error => ({ error }))
      await aborting
      if (stream.endReason === undefined) problems.push('a stream without an end')
      if ('value' in outcome !== (stream.endReason === 'completed')) problems.push(`${stream.endReason} with ${JSON.stringify(outcome)}`)
    })
    try {
      await within(10_000, Promise.all(ends))
      await within(10_000, mediator.close())
    } catch (error) {
      problems.push(String(error))
    }
    if (mediator.stats().streams !== 0) problems.push(`${mediator.stats().streams} streams are open`)
    if (generators !== 0) problems.push(`${generators} generators have not ended`)
    if (running !== 0) problems.push(`${running} event handlers run`)
    if (emitted.length !== handled.length || new Set([...emitted, ...handled]).size !== emitted.length) {
      problems.push(`${emitted.length} events emitted, ${handled.length} handled`)
    }
    if (limit === 1 && handled.some((payload, index) => index > 0 && payload.split('.')[0] === handled[index - 1]!.split('.')[0] &&
      Number(payload.split('.')[1]) < Number(handled[index - 1]!.split('.')[1]))) problems.push('events of a stream out of order')
    if (problems.length > 0) {
      t.fail(`SEED=${seed}, run ${run}: ${problems.join('; ')}`)
      return
    }
  }
  t.pass('300 schedules')
})

t.test('never leaves a rejection unhandled', async t => {
  await turn()
  t.strictSame(unhandled, [])
})
