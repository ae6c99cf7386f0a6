import { setTimeout as sleep } from 'node:timers/promises'
import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { Test } from 'tap'
import { commandRoute } from '../../index.js'
import type { Behavior, Emit, HandlerContext } from '../../index.js'
import { withBehaviors } from '../../lib/behavior.js'
import { defineCommand } from '../../lib/definition.js'
import { defineEvent } from '../../lib/event.js'
import type { StreamingMediator } from '../../lib/streaming-mediator.js'
import { readFrames } from '../../lib/testing/index.js'
import { Add, Count, createApp } from '../support/app.js'
import { namesOf } from '../support/frames.js'
import { collect, createMediator, deferred, leave, rejection, within } from './support.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => { unhandled.push(error) })

const Work = defineCommand({ name: 'work', input: Type.Any(), progress: Type.Any(), result: Type.Any() })
const Call = defineCommand({ name: 'call', input: Type.Any(), result: Type.Any() })
const Happened = defineEvent({ name: 'happened', payload: Type.Any() })
const Other = defineEvent({ name: 'other', payload: Type.Any() })

const never = new Promise<never>(() => {})
const pass: Behavior = async function * (_call, next) { return yield * next() }

/** A mediator whose `work` yields 1 and 2 and returns its input, and what its handler did. */
function createWorker (t: Test, ...behaviors: Behavior[]): { mediator: StreamingMediator, did: string[] } {
  const { mediator } = createMediator(t)
  const did: string[] = []
  mediator.addHandler(Work, async function * (input) {
    did.push(`start ${input}`)
    try {
      yield 1
      yield 2
      return input
    } finally {
      did.push('finally')
    }
  })
  for (const behavior of behaviors) mediator.addBehavior(behavior)
  return { mediator, did }
}

async function read (mediator: StreamingMediator, input: unknown = 'in'): Promise<{ progress: unknown[], result: unknown }> {
  const stream = mediator.stream(Work, input)
  return { progress: await collect(stream), result: await stream.result }
}

t.test('the behavior that was added first is the outermost', async t => {
  const steps: string[] = []
  const named = (name: string): Behavior => async function * (_call, next) {
    steps.push(`${name} begins`)
    const result = yield * next()
    steps.push(`${name} ends`)
    return result
  }
  const { mediator } = createWorker(t, named('a'), named('b'))
  t.strictSame(await read(mediator), { progress: [1, 2], result: 'in' })
  t.strictSame(steps, ['a begins', 'b begins', 'b ends', 'a ends'])
})

t.test('a behavior changes the input for those after it and for the handler', async t => {
  const seen: unknown[] = []
  const { mediator, did } = createWorker(t,
    async function * ({ input }, next) { return yield * next({ input: `${input}-a` }) },
    async function * ({ input }, next) {
      seen.push(input)
      return yield * next({ input: undefined })
    })
  t.equal((await read(mediator)).result, null)
  t.strictSame([...seen, ...did], ['in-a', 'start undefined', 'finally'])
})

t.test('a behavior changes, adds and drops progress', async t => {
  const { mediator } = createWorker(t, async function * (_call, next) {
    yield 'first'
    for await (const progress of next()) if (progress !== 1) yield `changed ${String(progress)}`
  })
  t.strictSame(await read(mediator), { progress: ['first', 'changed 2'], result: null })
})

t.test('a behavior changes the result', async t => {
  const { mediator } = createWorker(t, async function * (_call, next) { return [yield * next()] })
  t.strictSame((await read(mediator)).result, ['in'])
  t.strictSame(await mediator.send(Work, 1), [1])
})

t.test('a behavior changes an error, or makes a result of it', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Work, async function * (input) {
    yield 1
    throw new Error(input)
  })
  mediator.addBehavior(async function * (_call, next) {
    try {
      return yield * next()
    } catch (error) {
      if ((error as Error).message === 'forgiven') return 'result'
      throw new TypeError('changed', { cause: error })
    }
  })
  t.strictSame(await read(mediator, 'forgiven'), { progress: [1], result: 'result' })
  const error = await rejection(mediator.send(Work, 'fatal'))
  t.match(error, { name: 'TypeError', message: 'changed', cause: { message: 'fatal' } })
})

t.test('a behavior that never calls next keeps the handler from running', async t => {
  const { mediator, did } = createWorker(t, async function * () {
    yield 'cached'
    return 'result'
  })
  t.strictSame(await read(mediator), { progress: ['cached'], result: 'result' })
  t.strictSame(did, [])
})

t.test('a behavior that does not read what next gave keeps the handler from running', async t => {
  const { mediator, did } = createWorker(t, async function * (_call, next) {
    next()
    return 'result'
  })
  t.equal(await mediator.send(Work, 1), 'result')
  t.strictSame(did, [])
})

for (const [name, leaveInner] of Object.entries<Behavior>({
  'breaks out of a loop': async function * (_call, next) {
    // eslint-disable-next-line no-unreachable-loop
    for await (const progress of next()) {
      yield progress
      break
    }
    return 'short'
  },
  'has taken one step by hand': async function * (_call, next) {
    yield (await next().next()).value
    return 'short'
  }
})) {
  t.test(`the finally of the handler runs before the end of a stream whose behavior ${name}`, async t => {
    const { mediator, did } = createWorker(t, leaveInner)
    const stream = mediator.stream(Work, 'in')
    const result = stream.result.then(value => [value, [...did]])
    t.strictSame(await collect(stream), [1])
    t.strictSame(await result, ['short', ['start in', 'finally']])
  })
}

t.test('a behavior that throws after the first progress ends the handler', async t => {
  const { mediator, did } = createWorker(t, async function * (_call, next) {
    const inner = next()
    await inner.next()
    throw new Error('enough')
  })
  t.match(await rejection(mediator.send(Work, 'in')), { message: 'enough' })
  t.strictSame(did, ['start in', 'finally'])
})

t.test('all that a behavior has left are ended, also when one of them fails to and one goes on', async t => {
  const { mediator } = createMediator(t)
  const ended: number[] = []
  mediator.addHandler(Work, async function * (input: number) {
    try {
      yield input
    } finally {
      ended.push(input)
      if (input === 1) throw new Error('not closed') // eslint-disable-line no-unsafe-finally
      yield 'in the finally'
    }
  })
  mediator.addBehavior(async function * (_call, next) {
    for (const input of [1, 2, 3]) await next({ input }).next()
    return 'not this'
  })
  t.match(await rejection(mediator.send(Work, 0)), { message: 'not closed' })
  t.strictSame(ended, [1, 2, 3])
})

t.test('next runs the handler again each time it is called', async t => {
  const { mediator } = createMediator(t)
  let attempts = 0
  mediator.addHandler(Work, async function * () {
    attempts++
    yield attempts
    if (attempts < 3) throw new Error('busy')
    return 'done'
  })
  mediator.addBehavior(async function * retry (_call, next) {
    for (let left = 2; ; left--) {
      try {
        return yield * next()
      } catch (error) {
        if (left === 0) throw error
      }
    }
  })
  t.strictSame(await read(mediator), { progress: [1, 2, 3], result: 'done' })
})

t.test('runs that have ended are forgotten', async t => {
  t.plan(1)
  if (globalThis.gc === undefined) (await import('node:v8')).setFlagsFromString('--expose-gc')
  const gc = globalThis.gc ?? (await import('node:vm')).runInNewContext('gc') as () => void
  const { mediator } = createMediator(t)
  mediator.addHandler(Work, async function * () {})
  mediator.addBehavior(pass)
  mediator.addBehavior(async function * (_call, next) {
    const first = new WeakRef(next())
    // Read apart, so that this frame holds none of its steps.
    await (async () => { await first.deref()!.next() })()
    for (let n = 0; n < 10 && first.deref() !== undefined; n++) {
      yield * next()
      await sleep(1)
      gc()
    }
    return first.deref() === undefined
  })
  t.equal(await mediator.send(Work, 1), true)
})

t.test('a behavior sees, changes and drops the events of the handler, whatever its shape', async t => {
  const handled: unknown[] = []
  const watching: Behavior = async function * (call, next) {
    if (call.kind === 'publish') return yield * next()
    const emit: Emit = (definition, payload) => {
      if (payload === 'drop') return
      call.context.emit(definition, `${definition.name}: ${payload as string}`)
    }
    return yield * next({ emit })
  }
  const run = (emit: Emit): void => { for (const payload of ['keep', 'drop']) emit(Happened, payload) }
  class Python {
    events = [Happened.create('keep'), Happened.create('drop')]
    clearEvents (): void { this.events = [] }
    async handle (): Promise<void> {}
  }
  for (const add of [
    (mediator: StreamingMediator) => mediator.addHandler(Call, (_input, { emit }) => run(emit)),
    (mediator: StreamingMediator) => mediator.addHandler(Call, [(_input, { next }) => next(), (_input, { emit }) => run(emit)]),
    (mediator: StreamingMediator) => mediator.addHandler(Call, Python)
  ]) {
    const { mediator } = createMediator(t)
    add(mediator)
    mediator.addEventHandler(Happened, ({ payload }) => { handled.push(payload) })
    mediator.addBehavior(watching)
    mediator.addBehavior(watching)
    await mediator.send(Call, 1)
  }
  t.strictSame(handled, Array(3).fill('happened: happened: keep'))
})

t.test('a behavior emits events of its own, in step with what it yields', async t => {
  const handled: unknown[] = []
  const { mediator } = createWorker(t, async function * (call, next) {
    if (call.kind === 'stream') call.context.emit(Happened, 'before')
    const result = yield * next()
    if (call.kind === 'stream') call.context.emit(Other, 'after')
    return result
  })
  for (const event of [Happened, Other]) mediator.addEventHandler(event, ({ payload }) => { handled.push(payload) })
  const stream = mediator.stream(Work, 'in')
  for await (const progress of stream) handled.push(progress)
  await stream.result
  t.strictSame(handled, ['before', 1, 2, 'after'])
})

t.test('behaviors wrap streams and sends of both kinds of commands, and publishes, from wherever they are called', async t => {
  const calls: string[] = []
  const { mediator } = createMediator(t)
  mediator.addBehavior(async function * ({ kind, definition, input, context }, next) {
    calls.push(`${kind} ${definition.name} ${String(input)} for ${JSON.stringify(context.caller)}`)
    return yield * next()
  })
  mediator.addHandler(Work, async function * (_input, { mediator }) {
    yield 1
    await mediator.publish(Happened, 'nested')
  })
  mediator.addHandler(Call, input => input)
  mediator.addEventHandler(Happened, async ({ payload }, { mediator }) => { await mediator.send(Call, `in ${payload}`) })
  const caller = { userId: 'ada' }
  await collect(mediator.stream(Work, 'a', { caller }))
  t.equal(await mediator.send(Call, 'b'), 'b')
  await mediator.publish(Happened, 'c', { caller })
  t.strictSame(calls, [
    'stream work a for {"userId":"ada"}', 'publish happened nested for {"userId":"ada"}', 'stream call in nested for {"userId":"ada"}',
    'stream call b for undefined', 'publish happened c for {"userId":"ada"}', 'stream call in c for {"userId":"ada"}'
  ])
})

t.test('emitted events are no calls of their own', async t => {
  const kinds: string[] = []
  const { mediator } = createMediator(t)
  mediator.addHandler(Call, (_input, { emit }) => { emit(Happened, 1) })
  mediator.addEventHandler(Happened, () => { kinds.push('handled') })
  mediator.addBehavior(async function * ({ kind }, next) {
    kinds.push(kind)
    return yield * next()
  })
  await mediator.send(Call, 1)
  t.strictSame(kinds, ['stream', 'handled'])
})

t.test('publish', async t => {
  t.test('takes a changed payload', async t => {
    const { mediator } = createMediator(t)
    const payloads: unknown[] = []
    mediator.addEventHandler(Happened, ({ payload }) => { payloads.push(payload) })
    mediator.addBehavior(async function * ({ input }, next) {
      yield 'progress without a reader'
      return yield * next({ input: `${input}!`, emit: () => {} })
    })
    t.equal(await mediator.publish(Happened, 'a'), undefined)
    t.strictSame(payloads, ['a!'])
  })

  t.test('hands the event to nobody where next is not called, and again where it is called again', async t => {
    const { mediator } = createMediator(t)
    let handled = 0
    mediator.addEventHandler(Happened, () => { handled++ })
    mediator.addBehavior(async function * ({ input }, next) {
      for (let n = 0; n < Number(input); n++) yield * next()
    })
    await mediator.publish(Happened, 0)
    t.equal(handled, 0)
    await mediator.publish(Happened, 2)
    t.equal(handled, 2)
  })

  t.test('rejects with what the behavior made of the failure', async t => {
    const { mediator } = createMediator(t)
    mediator.addEventHandler(Happened, () => { throw new Error('broken') })
    let code: unknown
    mediator.addBehavior(async function * (_call, next) {
      try {
        return yield * next()
      } catch (error) {
        code = (error as { code: string }).code
        throw new Error('changed')
      }
    })
    t.match(await rejection(mediator.publish(Happened, 1)), { message: 'changed' })
    t.equal(code, 'MEDIATOR_ERR_EVENT_HANDLER_FAILED')
  })

  t.test('gives the behavior a log that names the event, the mediator and the scope', async t => {
    const scope = { resolve: () => 'resolved' }
    const { mediator, logs } = createMediator(t, { scope: () => scope })
    mediator.addHandler(Call, input => input)
    mediator.addBehavior(async function * ({ kind, context }, next) {
      if (kind === 'stream') return yield * next()
      context.log.info('seen')
      t.equal(context.scope, scope)
      t.equal(await context.mediator.send(Call, 'a'), 'a')
    })
    await mediator.publish(Happened, 1)
    t.match(logs, [{ msg: 'seen', event: 'happened' }])
    t.plan(3)
  })

  t.test('lets the behavior call the mediator while that closes, and no longer than it is at work', async t => {
    const { mediator } = createMediator(t, { closeGraceMs: 60_000 })
    const [started, closing] = [deferred(), deferred()]
    let calls: HandlerContext['mediator'] | undefined
    mediator.addHandler(Call, input => input)
    mediator.addBehavior(async function * ({ kind, context }, next) {
      if (kind === 'stream') return yield * next()
      calls = context.mediator
      started.resolve()
      await closing.promise
      t.equal(await calls.send(Call, 'a'), 'a')
    })
    const published = mediator.publish(Happened, 1)
    await started.promise
    const closed = mediator.close()
    closing.resolve()
    await within(5_000, Promise.all([published, closed]))
    t.match(await rejection(calls!.send(Call, 'b')), { code: 'MEDIATOR_ERR_SHUTTING_DOWN' })
  })

  t.test('logs a scope that cannot be disposed after it', async t => {
    const scope = { resolve: () => 'resolved', dispose: () => { throw new Error('broken') } }
    const { mediator, logs } = createMediator(t, { scope: () => scope })
    mediator.addBehavior(async function * ({ context }, next) {
      t.equal(context.scope.resolve('it'), 'resolved')
      return yield * next()
    })
    await mediator.publish(Happened, 1)
    await mediator.close()
    t.match(logs, [{ err: { message: 'broken' } }])
  })
})

t.test('a behavior that makes no async generator', async t => {
  const wrong = {
    'an async function': async () => 'result',
    'an async function that throws': async () => { throw new Error('unseen') },
    'a generator function': function * () {},
    'a function that returns null': () => null,
    'a function that returns nothing': () => {}
  }
  for (const [name, behavior] of Object.entries(wrong)) {
    t.test(`fails what it wraps: ${name}`, async t => {
      const { mediator, did } = createWorker(t, behavior as unknown as Behavior)
      const expected = { code: 'MEDIATOR_ERR_INVALID_BEHAVIOR', message: /async function \*/ }
      t.match(await rejection(mediator.send(Work, 1)), expected)
      t.match(await rejection(mediator.publish(Happened, 1)), expected)
      t.strictSame(did, [])
    })
  }

  for (const behavior of [undefined, null, 'name', {}]) {
    t.test(`is refused where it is no function: ${JSON.stringify(behavior)}`, async t => {
      const { mediator } = createMediator(t)
      t.throws(() => mediator.addBehavior(behavior as unknown as Behavior), { code: 'MEDIATOR_ERR_INVALID_BEHAVIOR' })
    })
  }

  t.test('fails with what it throws itself', async t => {
    const { mediator } = createWorker(t, () => { throw new RangeError('at once') })
    t.match(await rejection(mediator.send(Work, 1)), { name: 'RangeError' })
  })
})

t.test('a stream keeps the behaviors that it was made with', async t => {
  const { mediator } = createWorker(t, pass)
  const stream = mediator.stream(Work, 'in')
  mediator.addBehavior(async function * () { return 'late' })
  await collect(stream)
  t.equal(await stream.result, 'in')
  t.equal(await mediator.send(Work, 1), 'late')
})

t.test('without behaviors the handler itself is called', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Call, () => new Error('here').stack)
  t.notMatch(await mediator.send(Call, 1), /streamOf|withInner/)
  mediator.addBehavior(pass)
  t.match(await mediator.send(Call, 1), /streamOf/)
})

t.test('abort', async t => {
  t.test('inside a behavior runs the finally blocks from the inside out', async t => {
    const { mediator } = createMediator(t)
    const ended: string[] = []
    const at = (name: string): Behavior => async function * (_call, next) {
      try {
        return yield * next()
      } finally {
        ended.push(name)
      }
    }
    mediator.addHandler(Work, async function * (_input, { signal }) {
      try {
        yield 1
        await sleep(60_000, undefined, { signal })
      } finally {
        ended.push('handler')
      }
    })
    mediator.addBehavior(at('outer'))
    mediator.addBehavior(at('inner'))
    const stream = mediator.stream(Work, 1)
    await leave(stream)
    t.strictSame(ended, ['handler', 'inner', 'outer'])
    const blocked = mediator.stream(Work, 1)
    const iterator = blocked[Symbol.asyncIterator]()
    await iterator.next()
    const next = rejection(iterator.next())
    blocked.abort('enough')
    t.match(await next, { code: 'MEDIATOR_ERR_STREAM_ABORTED', cause: 'enough' })
    await rejection(blocked.result)
    t.strictSame(ended, ['handler', 'inner', 'outer', 'handler', 'inner', 'outer'])
  })

  for (const [name, definition] of [['of a stream', Work], ['of a regular command', Call]] as const) {
    t.test(`while a behavior waits starts no handler ${name}`, async t => {
      const gate = deferred()
      const entered = deferred()
      const { mediator, logs } = createMediator(t)
      let started = 0
      mediator.addHandler(definition, (() => { started++ }) as () => never)
      mediator.addBehavior(async function * (_call, next) {
        entered.resolve()
        await gate.promise
        return yield * next()
      })
      const stream = mediator.stream(definition, 'in')
      const result = rejection(stream.result)
      await entered.promise
      stream.abort()
      gate.resolve()
      t.match(await result, { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
      t.equal(started, 0)
      t.strictSame(logs, [], 'a behavior that hands on the abort is no failure')
    })
  }

  t.test('stops a behavior that runs the handler again after each failure', async t => {
    const { mediator } = createMediator(t)
    const began = deferred()
    let started = 0
    mediator.addHandler(Call, async (_input, { signal }) => {
      started++
      began.resolve()
      await sleep(60_000, undefined, { signal })
    })
    mediator.addBehavior(async function * (_call, next) {
      try {
        return yield * next()
      } catch {
        return yield * next()
      }
    })
    const stream = mediator.stream(Call, 1)
    const result = rejection(stream.result)
    await began.promise
    stream.abort()
    t.match(await result, { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
    t.equal(started, 1)
  })

  t.test('lets go of a behavior that waits for ever', async t => {
    const { mediator, logs } = createMediator(t)
    mediator.addHandler(Work, async function * () {})
    mediator.addBehavior(async function * () { await never })
    const stream = mediator.stream(Work, 1)
    const result = rejection(stream.result)
    await sleep(0)
    stream.abort()
    await result
    t.match(logs, [{ level: 40, msg: /goes on although its stream has ended/ }])
  })

  for (const [name, upstreamOf] of Object.entries({
    'at once': (upstream: Readable) => upstream,
    later: async (upstream: Readable) => upstream
  })) {
    t.test(`inside a handler leaves nothing behind of the upstream that it returns ${name}`, async t => {
      const { mediator } = createMediator(t)
      const upstream = new Readable({ read () {} })
      mediator.addHandler(Work, () => {
        stream.abort()
        return upstreamOf(upstream)
      })
      mediator.addBehavior(pass)
      const stream = mediator.stream(Work, 1)
      await within(500, rejection(stream.result))
      t.equal(upstream.destroyed, true)
    })
  }
})

t.test('streams what a handler returns through behaviors', async t => {
  const { mediator } = createMediator(t)
  mediator.addBehavior(pass)
  mediator.addHandler(Work, input => input())
  const progressOf = async (handler: () => unknown): Promise<unknown[]> => await collect(mediator.stream(Work, handler))
  t.strictSame(await progressOf(() => Readable.from([1, 2])), [1, 2])
  t.strictSame(await progressOf(async () => Readable.from([3])), [3])
  t.strictSame(await progressOf(function * () { yield Promise.resolve(4) }), [4])
  t.strictSame(await progressOf(() => [5]), [])
})

t.test('behaviors are handlers as well, where they are needed without a mediator', async t => {
  const wrapped = withBehaviors([pass], { kind: 'stream', definition: Work }, input => [input])
  t.strictSame(await (wrapped(1, {} as HandlerContext) as AsyncGenerator).next(), { done: true, value: [1] })
})

t.test('routes', async t => {
  t.test('answer with the status that a behavior throws before the first progress', async t => {
    const { app } = await createApp(t, { commitAfterMs: 10_000 })
    app.mediator.addHandler(Count, async function * () { return { total: 0 } })
    app.mediator.addHandler(Add, ({ a, b }) => a + b)
    app.mediator.addBehavior(async function * ({ context }, next) {
      await sleep(1)
      if (context.caller === undefined) throw Object.assign(new Error('Log in first'), { statusCode: 401, code: 'NO_CALLER' })
      return yield * next()
    })
    const caller = ({ headers }: { headers: Record<string, unknown> }): { userId: string } | undefined =>
      headers['x-user'] === undefined ? undefined : { userId: String(headers['x-user']) }
    app.route(commandRoute(Count, { url: '/count', caller }))
    app.route(commandRoute(Add, { url: '/add', caller }))
    for (const [url, payload] of [['/count', { to: 1 }], ['/add', { a: 1, b: 2 }]] as const) {
      const refused = await app.inject({ method: 'POST', url, payload })
      t.equal(refused.statusCode, 401)
      t.match(refused.json(), { status: 401, code: 'NO_CALLER', detail: 'Log in first' })
      const { statusCode } = await app.inject({ method: 'POST', url, payload, headers: { 'x-user': 'ada' } })
      t.equal(statusCode, 200)
    }
  })

  t.test('check what behaviors yield and return', async t => {
    const { app } = await createApp(t, { commitAfterMs: 10_000 })
    app.mediator.addHandler(Count, async function * () {
      yield { n: 1 }
      return { total: 1 }
    })
    app.mediator.addBehavior(async function * (_call, next) {
      yield { n: 0 }
      yield * next()
      return { total: 'wrong' }
    })
    app.route(commandRoute(Count, { url: '/count' }))
    const response = await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })
    const frames = readFrames(response)
    t.strictSame(namesOf(frames), ['start', 'progress', 'progress', 'failed'])
    t.strictSame(frames.slice(1, 3).map(({ data }) => data), [{ n: 0 }, { n: 1 }])
  })
})

t.test('nothing was rejected without a reader', async t => {
  await sleep(0)
  t.strictSame(unhandled, [])
})
