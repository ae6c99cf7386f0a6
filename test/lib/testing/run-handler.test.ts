import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineCommand, defineQuery } from '../../../lib/definition.js'
import { defineEvent } from '../../../lib/event.js'
import type { Handler, HandlerContext } from '../../../lib/handler.js'
import { RecordingBroker, runHandler } from '../../../lib/testing/index.js'
import { deferred, rejection, within } from '../support.js'

const Pack = defineCommand({
  name: 'pack',
  input: Type.Object({ ids: Type.Array(Type.String()) }),
  progress: Type.Object({ id: Type.String() }),
  result: Type.Object({ packed: Type.Integer() })
})
const Add = defineCommand({ name: 'add', input: Type.Object({ a: Type.Integer() }), result: Type.Integer() })
const Watch = defineQuery({ name: 'watch', input: Type.Null(), progress: { tick: Type.Integer(), note: Type.Object({ text: Type.String() }) } })
const Touch = defineCommand({ name: 'touch', input: Type.Null() })
const Anything = defineCommand({ name: 'anything', input: Type.Null(), progress: Type.Any(), result: Type.Any() })
const Packed = defineEvent({ name: 'packed', payload: Type.Object({ id: Type.String() }) })
const Audited = defineEvent({ name: 'audited', payload: Type.Any() })
const Told = defineEvent({ name: 'told', topic: 'tales', payload: Type.Object({ id: Type.String() }) })

const pack: Handler<typeof Pack> = async function * ({ ids }, { emit, log }) {
  for (const id of ids) {
    await turn()
    emit(Packed, { id })
    log.info({ id }, 'packed')
    yield { id }
  }
  return { packed: ids.length }
}
const never = new Promise<never>(() => {})

t.test('what comes back', async t => {
  t.test('is progress, result, events and logs', async t => {
    const { progress, result, events, logs } = await runHandler(Pack, pack, { ids: ['a', 'b'] })
    t.strictSame(progress, [{ id: 'a' }, { id: 'b' }])
    t.strictSame(result, { packed: 2 })
    t.strictSame(events, [{ name: 'packed', payload: { id: 'a' } }, { name: 'packed', payload: { id: 'b' } }])
    t.match(logs, [{ level: 'info', msg: 'packed', id: 'a', command: 'pack', streamId: String }, { level: 'info', msg: 'packed', id: 'b' }])
    t.equal(logs.length, 2)
  })

  t.test('fills while the handler runs', async t => {
    const gates = [deferred(), deferred()]
    const told = [deferred(), deferred()]
    const run = runHandler(Pack, async function * ({ ids }, { emit, log }) {
      for (const [index, id] of ids.entries()) {
        emit(Packed, { id })
        log.warn(id)
        yield { id }
        told[index]!.resolve()
        await gates[index]!.promise
      }
      return { packed: ids.length }
    }, { ids: ['a', 'b'] })
    await told[0]!.promise
    t.strictSame(run.progress, [{ id: 'a' }])
    t.strictSame(run.events, [{ name: 'packed', payload: { id: 'a' } }])
    t.match(run.logs, [{ level: 'warn', msg: 'a' }])
    gates[0]!.resolve()
    await told[1]!.promise
    t.equal(run.progress.length, 2)
    gates[1]!.resolve()
    const outcome = await run
    t.equal(outcome.progress, run.progress)
    t.equal(outcome.events, run.events)
    t.equal(outcome.logs, run.logs)
  })

  t.test('is what was told, although the handler changes it later', async t => {
    const { progress, events } = await runHandler(Anything, async function * (_input, { emit }) {
      const state = { n: 1, deep: { list: [1] } }
      emit(Audited, state)
      yield state
      state.n++
      state.deep.list.push(2)
      yield state
    }, null)
    t.strictSame(progress, [{ n: 1, deep: { list: [1] } }, { n: 2, deep: { list: [1, 2] } }])
    t.strictSame(events, [{ name: 'audited', payload: { n: 1, deep: { list: [1] } } }])
  })

  t.test('has no progress where undefined was yielded, and null where nothing was returned', async t => {
    const { progress, result, events } = await runHandler(Watch, async function * (_input, { emit }) {
      emit(Packed, { id: 'a' })
      yield undefined
      yield { event: 'tick', data: 1 }
    }, null)
    t.strictSame(progress, [{ event: 'tick', data: 1 }])
    t.equal(result, null)
    t.equal(events.length, 1)
    t.equal((await runHandler(Touch, () => {}, null)).result, null)
  })
})

t.test('handlers may be', async t => {
  t.test('plain functions', async t => {
    t.equal((await runHandler(Add, ({ a }) => a + 1, { a: 1 })).result, 2)
    t.equal((await runHandler(Add, async ({ a }) => a + 1, { a: 1 })).result, 2)
  })

  t.test('synchronous generators', async t => {
    const { progress } = await runHandler(Pack, function * ({ ids }) {
      for (const id of ids) yield { id }
      return { packed: ids.length }
    }, { ids: ['a'] })
    t.strictSame(progress, [{ id: 'a' }])
  })

  t.test('classes, made by the scope, which is disposed in the end', async t => {
    class Adder {
      readonly #by: number
      constructor (by: number) { this.#by = by }
      handle ({ a }: { a: number }): number { return a + this.#by }
    }
    let disposed = 0
    const dispose = async (): Promise<void> => {
      await turn()
      disposed++
    }
    const scope = () => ({ resolve: (target: typeof Adder) => new target(10), dispose }) // eslint-disable-line new-cap
    t.equal((await runHandler(Add, Adder, { a: 1 }, { scope })).result, 11)
    t.equal(disposed, 1)
  })

  t.test('classes in the shape of python-cqrs', async t => {
    class Packer {
      events = [Packed.create({ id: 'first' })]
      clearEvents (): void { this.events = [] }
      async * handle ({ ids }: { ids: string[] }): AsyncGenerator<{ id: string }, { packed: number }, void> {
        for (const id of ids) yield { id }
        this.events.push(Packed.create({ id: 'last' }))
        return { packed: ids.length }
      }
    }
    const { events } = await runHandler(Pack, Packer, { ids: ['a'] })
    t.strictSame(events.map(({ payload }) => payload), [{ id: 'first' }, { id: 'last' }])
  })

  t.test('names in the scope', async t => {
    const scope = () => ({ resolve: (name: string) => ({ handle: () => name.length }) })
    t.equal((await runHandler(Add, 'adder', { a: 1 }, { scope })).result, 5)
  })

  t.test('chains', async t => {
    const { progress, result } = await runHandler(Pack, [
      async function * (input, { next }) {
        yield { id: 'first' }
        return yield * next(input)
      },
      pack
    ], { ids: ['a'] })
    t.strictSame(progress, [{ id: 'first' }, { id: 'a' }])
    t.strictSame(result, { packed: 1 })
  })

  t.test('nothing else', async t => {
    t.match(await rejection(runHandler(Add, 5 as unknown as () => number, { a: 1 })), { code: 'MEDIATOR_ERR_INVALID_HANDLER' })
    t.match(await rejection(runHandler({ ...Add }, () => 1, { a: 1 })), { code: 'MEDIATOR_ERR_INVALID_DEFINITION' })
  })
})

t.test('failures', async t => {
  t.test('are what the handler threw, and leave what was seen by then', async t => {
    const error = Object.assign(new Error('There is no order b'), { statusCode: 404 })
    const run = runHandler(Pack, async function * ({ ids }, { emit }) {
      for (const id of ids) {
        emit(Packed, { id })
        if (id === 'b') throw error
        yield { id }
      }
      return { packed: 0 }
    }, { ids: ['a', 'b', 'c'] })
    t.equal(await rejection(run), error)
    t.strictSame(run.progress, [{ id: 'a' }])
    t.strictSame(run.events.map(({ payload }) => payload), [{ id: 'a' }, { id: 'b' }])
  })

  t.test('are told when the events have been handled', async t => {
    const gate = deferred()
    let handled = false
    const run = runHandler(Pack, async function * (_input, { emit }) {
      emit(Packed, { id: 'a' })
      throw new Error('no')
    }, { ids: [] }, {
      register: mediator => mediator.addEventHandler(Packed, async () => {
        await gate.promise
        handled = true
      })
    })
    setImmediate(gate.resolve)
    await rejection(run)
    t.equal(handled, true)
  })

  t.test('may be anything', async t => {
    for (const thrown of [undefined, null, 'text', { statusCode: 400 }]) {
      const caught = await runHandler(Add, () => { throw thrown }, { a: 1 }).then(() => 'resolved', (error: unknown) => ({ error }))
      t.strictSame(caught, { error: thrown })
    }
  })

  t.test('of an event handler are those of the stream', async t => {
    const cause = new Error('out of stock')
    const run = runHandler(Pack, pack, { ids: ['a'] }, { register: mediator => mediator.addEventHandler(Packed, () => { throw cause }) })
    t.match(await rejection(run), { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause })
    t.match(run.logs.filter(({ level }) => level === 'error'), [{ err: cause, event: 'packed', command: 'pack' }])
  })

  t.test('are progress and results that a route could not send', async t => {
    let reason: unknown
    const run = runHandler(Pack, async function * (_input, { signal, emit }) {
      try {
        yield { id: 'a' }
        emit(Packed, { id: 'a' })
        yield { id: 5 as unknown as string }
        t.fail('it is not resumed')
        return { packed: 1 }
      } finally {
        reason = signal.reason
      }
    }, { ids: [] })
    t.match(await rejection(run), { code: 'MEDIATOR_ERR_INVALID_OUTPUT', message: /"pack" gave a bad progress: id must be string/ })
    t.strictSame(run.progress, [{ id: 'a' }])
    t.equal(run.events.length, 1)
    t.match(reason, { reason: 'failed', cause: { code: 'MEDIATOR_ERR_INVALID_OUTPUT' } }, 'the handler ended as a route ends it')

    const expected = { code: 'MEDIATOR_ERR_INVALID_OUTPUT' }
    t.match(await rejection(runHandler(Add, () => '5' as unknown as number, { a: 1 })), expected)
    t.match(await rejection(runHandler(Watch, async function * () { yield { event: 'tack' as 'tick', data: 1 } }, null)), expected)
    t.match(await rejection(runHandler(Watch, async function * () { yield 1 as never }, null)), expected)
    const yields = async function * (): AsyncGenerator { yield 1 }
    t.match(await rejection(runHandler(Touch, yields as unknown as () => void, null)), expected)
  })
})

t.test('options', async t => {
  t.test('signal ends the handler as the end of its client does', async t => {
    const controller = new AbortController()
    let reason: unknown
    const run = runHandler(Pack, async function * (_input, { signal, emit }) {
      try {
        await new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
        yield { id: 'a' }
        return { packed: 1 }
      } finally {
        reason = signal.reason
        emit(Packed, { id: 'late' })
      }
    }, { ids: [] }, { signal: controller.signal })
    controller.abort(new Error('enough'))
    t.match(await rejection(run), { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'cancelled', cause: { message: 'enough' } })
    t.match(reason, { code: 'MEDIATOR_ERR_STREAM_ABORTED' }, 'it had started at once')
    t.strictSame(run.events, [{ name: 'packed', payload: { id: 'late' } }])
  })

  t.test('signal that has aborted lets nothing start', async t => {
    let started = false
    const run = runHandler(Add, () => { started = true; return 1 }, { a: 1 }, { signal: AbortSignal.abort() })
    t.match(await rejection(run), { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
    t.equal(started, false)
  })

  t.test('signal ends a handler that never awaits', async t => {
    const run = runHandler(Anything, function * () { for (;;) yield 1 }, null, { signal: AbortSignal.timeout(20) })
    t.match(await rejection(run), { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
    t.ok(run.progress.length > 1)
  })

  t.test('onProgress is called with each progress, in the place of a reader', async t => {
    const controller = new AbortController()
    const run = runHandler(Pack, pack, { ids: ['a', 'b', 'c'] }, {
      signal: controller.signal,
      onProgress: ({ id }) => { if (id === 'b') controller.abort() }
    })
    t.match(await rejection(run), { reason: 'cancelled' })
    t.strictSame(run.progress, [{ id: 'a' }, { id: 'b' }])
  })

  t.test('onProgress holds the handler until it has settled', async t => {
    const order: string[] = []
    await runHandler(Pack, async function * () {
      yield { id: 'a' }
      order.push('resumed')
      return { packed: 1 }
    }, { ids: [] }, {
      onProgress: async () => {
        await turn()
        order.push('read')
      }
    })
    t.strictSame(order, ['read', 'resumed'])
  })

  t.test('onProgress that throws fails the run', async t => {
    const error = new Error('not this one')
    let ended = false
    const run = runHandler(Pack, async function * () {
      try {
        yield { id: 'a' }
        return { packed: 1 }
      } finally {
        ended = true
      }
    }, { ids: [] }, { onProgress: () => { throw error } })
    t.equal(await rejection(run), error)
    t.equal(ended, true)
  })

  t.test('caller, scope and resumeAfter are told to the handler', async t => {
    const caller = { userId: 'ada' }
    const scope = { resolve: () => undefined }
    let seen: Pick<HandlerContext, 'caller' | 'scope' | 'resumeAfter'> | undefined
    await runHandler(Watch, async function * (_input, { caller, scope, resumeAfter }) {
      seen = { caller, scope, resumeAfter }
    }, null, { caller, scope: () => scope, resumeAfter: 7 })
    t.equal(seen!.caller, caller)
    t.equal(seen!.scope, scope)
    t.equal(seen!.resumeAfter, 7)
  })

  t.test('register adds what the handler calls, and all of their events are seen in their order', async t => {
    const { result, events, logs } = await runHandler(Add, async ({ a }, { mediator, emit }) => {
      emit(Packed, { id: 'own' })
      await mediator.publish(Packed, { id: 'published' })
      const { packed } = await mediator.send(Pack, { ids: ['nested'] })
      return a + packed
    }, { a: 1 }, {
      register: async mediator => {
        await turn()
        mediator.addHandler(Pack, pack)
        mediator.addEventHandler(Packed, ({ payload }, { emit }) => { emit(Audited, payload.id) })
      }
    })
    t.equal(result, 2)
    t.strictSame(events, [
      { name: 'packed', payload: { id: 'own' } },
      { name: 'packed', payload: { id: 'published' } },
      { name: 'audited', payload: 'published' },
      { name: 'packed', payload: { id: 'nested' } },
      { name: 'audited', payload: 'nested' },
      { name: 'audited', payload: 'own' }
    ])
    t.match(logs, [{ msg: 'packed', command: 'pack' }])
  })

  t.test('register may add hooks, which run before the handler', async t => {
    const order: string[] = []
    await runHandler(Add, () => { order.push('handler'); return 1 }, { a: 1 }, {
      register: mediator => mediator.onStartup(() => { order.push('startup') })
    })
    t.strictSame(order, ['startup', 'handler'])
  })

  t.test('register that fails, or binds the command itself, fails the run', async t => {
    let started = false
    const run = (register: Parameters<typeof runHandler>[3]): Promise<unknown> => runHandler(Add, () => { started = true; return 1 }, { a: 1 }, register)
    t.match(await rejection(run({ register: () => { throw new Error('at once') } })), { message: 'at once' })
    t.match(await rejection(run({ register: async () => { throw new Error('later') } })), { message: 'later' })
    t.match(await rejection(run({ register: mediator => mediator.addHandler(Add, () => 2) })), { code: 'MEDIATOR_ERR_DUPLICATE_HANDLER' })
    t.equal(started, false)
  })

  t.test('messageBroker gets what has a topic, which is seen without one as well', async t => {
    const tell: Handler<typeof Add> = ({ a }, { emit }) => {
      emit(Told, { id: 'a' })
      return a
    }
    const messageBroker = new RecordingBroker()
    t.strictSame((await runHandler(Add, tell, { a: 1 }, { messageBroker })).events, [{ name: 'told', payload: { id: 'a' } }])
    t.strictSame(messageBroker.payloadsOf(Told), [{ id: 'a' }])
    t.strictSame((await runHandler(Add, tell, { a: 1 })).events, [{ name: 'told', payload: { id: 'a' } }])

    messageBroker.failNext(new Error('down'))
    t.match(await rejection(runHandler(Add, tell, { a: 1 }, { messageBroker })), { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause: { message: 'down' } })
  })
})

t.test('the end', async t => {
  t.test('waits for events and for calls that nobody awaits', async t => {
    const gate = deferred()
    const done: string[] = []
    const run = runHandler(Add, ({ a }, { mediator, emit }) => {
      emit(Packed, { id: 'a' })
      void mediator.send(Touch, null)
      return a
    }, { a: 1 }, {
      register: mediator => {
        mediator.addHandler(Touch, async () => {
          await gate.promise
          done.push('call')
        })
        mediator.addEventHandler(Packed, async () => {
          await turn()
          done.push('event')
          gate.resolve()
        })
      }
    })
    await within(2_000, run)
    t.strictSame(done, ['event', 'call'])
  })

  t.test('comes although the handler ignores its signal, and says so', async t => {
    const controller = new AbortController()
    const run = runHandler(Add, async () => await never, { a: 1 }, { signal: controller.signal })
    controller.abort()
    t.match(await rejection(run), { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
    t.match(run.logs, [{ level: 'warn', msg: /goes on although its stream has ended/, reason: 'cancelled' }])
  })
})
