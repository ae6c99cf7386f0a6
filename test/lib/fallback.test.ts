import { once } from 'node:events'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, SamplingBreaker, circuitBreaker, handleAll } from 'cockatiel'
import type { CircuitBreakerPolicy } from 'cockatiel'
import t from 'tap'
import type { Test } from 'tap'
import { defineCommand } from '../../lib/definition.js'
import { defineEvent } from '../../lib/event.js'
import { withFallback } from '../../lib/fallback.js'
import type { Delivered, FallbackHandler } from '../../lib/fallback.js'
import type { HandlerContext, StreamingHandler } from '../../lib/handler.js'
import type { StreamingMediator } from '../../lib/streaming-mediator.js'
import { collect, createMediator, deferred, leave, rejection, within } from './support.js'
import type { LogLine } from './support.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => { unhandled.push(error) })

const Work = defineCommand({ name: 'work', input: Type.Any(), progress: Type.Number(), result: Type.Any() })
const Call = defineCommand({ name: 'call', input: Type.Any(), result: Type.Any() })
const Happened = defineEvent({ name: 'happened', payload: Type.Any() })
const Other = defineEvent({ name: 'other', payload: Type.Any() })

const never = new Promise<never>(() => {})
const broken = new Error('broken')

type Fallback = FallbackHandler<typeof Work>
const tell: Fallback = async function * (_input, { delivered }) { return delivered }

function createWorker (t: Test, handler: (input: any, context: any) => unknown): { mediator: StreamingMediator, logs: LogLine[] } {
  const created = createMediator(t)
  created.mediator.addHandler(Work, handler as StreamingHandler<typeof Work>)
  return created
}

async function read (mediator: StreamingMediator, input: unknown = 'in'): Promise<{ progress: unknown[], result: unknown }> {
  const stream = mediator.stream(Work, input)
  return { progress: await collect(stream), result: await stream.result }
}

t.test('a primary that does not fail needs no fallback', async t => {
  const { mediator, logs } = createWorker(t, withFallback(async function * (input: string) {
    yield 1
    return input
  }, () => { throw new Error('not called') }))
  t.strictSame(await read(mediator), { progress: [1], result: 'in' })
  t.strictSame(logs, [])
})

t.test('the fallback goes on where the primary has failed, with its input and what the reader has', async t => {
  const { mediator, logs } = createWorker(t, withFallback(async function * readFast (input: string) {
    yield 1
    yield undefined
    yield 2
    throw new Error(`no ${input}`)
  }, async function * (input, { delivered }) {
    yield 3
    return { input, delivered }
  }))
  t.strictSame(await read(mediator), { progress: [1, 2, 3], result: { input: 'in', delivered: { count: 2, last: 2 } } })
  t.match(logs, [{ level: 40, msg: 'handler failed, its fallback runs', handler: 'readFast', command: 'work', err: { message: 'no in' } }])
})

for (const [name, primary] of Object.entries({
  'throws at once': () => { throw broken },
  rejects: async () => { throw broken },
  'throws before its first yield': async function * () { throw broken },
  'is a generator that throws': function * () { throw broken },
  'returns a Readable that fails': () => new Readable({ read () { this.destroy(broken) } }),
  'returns what cannot be iterated': () => ({ [Symbol.asyncIterator] () { throw broken } })
})) {
  t.test(`a primary that ${name} has delivered nothing`, async t => {
    const { mediator, logs } = createWorker(t, withFallback(primary as () => AsyncGenerator<number>, tell))
    t.strictSame(await read(mediator), { progress: [], result: { count: 0, last: undefined } })
    t.match(logs, [{ err: { message: 'broken' } }])
  })
}

t.test('a primary and a fallback may be Readables', async t => {
  const { mediator } = createWorker(t, withFallback(() => Readable.from((function * () {
    yield 1
    throw broken
  })()), async () => Readable.from([2, 3])))
  t.strictSame(await collect(mediator.stream(Work, 1)), [1, 2, 3])
})

t.test('a regular command falls back to a value', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Call, withFallback(async (input: string) => {
    if (input === 'bad') throw broken
    return input
  }, (input, { delivered }) => [input, delivered]))
  t.equal(await mediator.send(Call, 'good'), 'good')
  t.strictSame(await mediator.send(Call, 'bad'), ['bad', { count: 0, last: undefined }])
})

t.test('what the fallback throws is the failure', async t => {
  const { mediator } = createWorker(t, withFallback(async function * () { throw broken }, async function * () { throw new Error('broken, too') }))
  t.match(await rejection(mediator.send(Work, 1)), { message: 'broken, too' })
})

t.test('both may be classes, resolved for the run that needs them', async t => {
  const resolved: unknown[] = []
  class Primary {
    async * handle (): AsyncGenerator<number, unknown, void> {
      yield 1
      throw broken
    }
  }
  class Second {
    events = [Happened.create('collected')]
    clearEvents (): void { this.events = [] }
    async * handle (_input: unknown, { delivered }: { readonly delivered: Delivered<number> }): AsyncGenerator<number, unknown, void> {
      yield delivered.last! + 1
      return 'from the class'
    }
  }
  const { mediator, logs } = createMediator(t, {
    scope: () => ({
      resolve (target: new () => object) {
        resolved.push(target)
        return new target() // eslint-disable-line new-cap
      }
    })
  })
  const handled: unknown[] = []
  mediator.addEventHandler(Happened, ({ payload }) => { handled.push(payload) })
  mediator.addHandler(Work, withFallback(Primary, Second))
  t.strictSame(await read(mediator), { progress: [1, 2], result: 'from the class' })
  t.strictSame(resolved, [Primary, Second])
  t.strictSame(handled, ['collected'])
  t.match(logs, [{ handler: 'Primary' }])
})

t.test('what is neither a function nor a class is refused at once', async t => {
  t.throws(() => withFallback(undefined as never, tell), { code: 'MEDIATOR_ERR_INVALID_HANDLER' })
  t.throws(() => withFallback(async function * () { yield 1 }, null as never), { code: 'MEDIATOR_ERR_INVALID_HANDLER' })
})

t.test('nested fallbacks add up what was delivered', async t => {
  const failing = (value: number) => async function * () {
    yield value
    throw broken
  }
  const told: unknown[] = []
  const noting = (value: number): Fallback => async function * (_input, { delivered }) {
    told.push(delivered)
    yield value
    throw broken
  }
  const inFallback = createWorker(t, withFallback(failing(1), withFallback(noting(2), tell)))
  t.strictSame(await read(inFallback.mediator), { progress: [1, 2], result: { count: 2, last: 2 } })
  const inPrimary = createWorker(t, withFallback(withFallback(failing(1), noting(2)), tell))
  t.strictSame(await read(inPrimary.mediator), { progress: [1, 2], result: { count: 2, last: 2 } })
  t.strictSame(told, Array(2).fill({ count: 1, last: 1 }))
  const silent = createWorker(t, withFallback(failing(1), withFallback(async () => { throw broken }, tell)))
  t.strictSame((await read(silent.mediator)).result, { count: 1, last: 1 })
})

t.test('what the primary has emitted is handled, once', async t => {
  const handled: unknown[] = []
  const { mediator } = createWorker(t, withFallback(async function * (_input: unknown, { emit }: HandlerContext) {
    emit(Happened, 'first')
    yield 1
    emit(Happened, 'second')
    throw broken
  }, async function * (_input, { emit }) {
    emit(Happened, 'third')
    return 'result'
  }))
  mediator.addEventHandler(Happened, ({ payload }) => { handled.push(payload) })
  t.equal(await mediator.send(Work, 1), 'result')
  t.strictSame(handled, ['first', 'second', 'third'])
})

t.test('on says which failures the fallback is for', async t => {
  const on = (error: unknown): boolean => (error as { code?: string }).code === 'BUSY'
  const { mediator, logs } = createMediator(t)
  mediator.addHandler(Work, withFallback(async function * (code: string) {
    yield 1
    throw Object.assign(new Error(code), { code })
  }, tell, { on }))
  mediator.addHandler(Call, withFallback(async (code: string): Promise<unknown> => { throw Object.assign(new Error(code), { code }) }, () => 'result', { on }))
  t.strictSame(await mediator.send(Work, 'BUSY'), { count: 1, last: 1 })
  t.equal(await mediator.send(Call, 'BUSY'), 'result')
  t.equal(logs.length, 2)
  t.match(await rejection(mediator.send(Work, 'WRONG')), { message: 'WRONG' })
  t.match(await rejection(mediator.send(Call, 'WRONG')), { message: 'WRONG' })
  t.equal(logs.length, 2)
})

t.test('an aborted stream has no fallback', async t => {
  const { mediator, logs } = createWorker(t, withFallback(async function * (_input: unknown, { signal }: HandlerContext) {
    yield 1
    await sleep(60_000, undefined, { signal })
  }, () => { throw new Error('not called') }))
  const stream = mediator.stream(Work, 1)
  const iterator = stream[Symbol.asyncIterator]()
  await iterator.next()
  const next = rejection(iterator.next())
  stream.abort()
  await next
  t.match(await rejection(stream.result), { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
  t.strictSame(logs, [])
})

t.test('leaving the loop runs the finally of whichever runs', async t => {
  const ended: string[] = []
  const named = (name: string, fails: boolean) => async function * () {
    try {
      if (fails) throw broken
      yield 1
    } finally {
      ended.push(name)
    }
  }
  await leave(createWorker(t, withFallback(named('primary', false), named('fallback', false))).mediator.stream(Work, 1))
  t.strictSame(ended, ['primary'])
  await leave(createWorker(t, withFallback(named('failed', true), named('fallback', false))).mediator.stream(Work, 1))
  t.strictSame(ended, ['primary', 'failed', 'fallback'])
})

t.test('an upstream that comes when its stream has been aborted is destroyed', async t => {
  const upstream = new Readable({ read () {} })
  const { mediator } = createWorker(t, withFallback(() => {
    stream.abort()
    return upstream
  }, () => { throw new Error('not called') }))
  const stream = mediator.stream(Work, 1)
  await rejection(stream.result)
  t.equal(upstream.destroyed, true)
})

t.test('an iterator without return can be left', async t => {
  const steps = { next: async () => ({ done: false as const, value: 1 }) }
  const { mediator, logs } = createWorker(t, withFallback(() => ({ [Symbol.asyncIterator]: () => steps }), () => { throw new Error('not called') }))
  await leave(mediator.stream(Work, 1))
  t.strictSame(logs, [])
})

// What cockatiel reads is Date.now.
interface Clock { tick (ms: number): void }
function createClock (t: Test): Clock {
  let now = Date.now()
  t.intercept(Date, 'now', { get: () => () => now })
  return { tick (ms) { now += ms } }
}

t.test('a circuit breaker', async t => {
  const consecutive = (): CircuitBreakerPolicy => circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(2) })

  for (const [name, breaker] of Object.entries({
    ConsecutiveBreaker: consecutive(),
    SamplingBreaker: circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new SamplingBreaker({ threshold: 0.6, duration: 5_000, minimumRps: 0.4 }) })
  })) {
    t.test(`opens, half-opens and closes by what streams do: ${name}`, async t => {
      const clock = createClock(t)
      const calls: unknown[] = []
      const { mediator, logs } = createWorker(t, withFallback(async function * (input: string) {
        calls.push(input)
        yield 1
        if (input === 'bad') throw broken
        return 'primary'
      }, async function * (_input, { delivered }) { return `fallback after ${delivered.count}` }, { breaker }))
      const send = async (input: string): Promise<unknown> => await mediator.send(Work, input)
      t.strictSame([await send('bad'), breaker.state], ['fallback after 1', CircuitState.Closed])
      t.strictSame([await send('bad'), breaker.state], ['fallback after 1', CircuitState.Open])
      t.strictSame([await send('good'), calls.length], ['fallback after 0', 2], 'the primary is spared')
      t.ok(breaker.lastFailure !== undefined && 'error' in breaker.lastFailure && breaker.lastFailure.error === broken)
      t.match(logs.at(-1), { level: 40, err: { message: new BrokenCircuitError().message } })

      clock.tick(9_999)
      t.equal(await send('good'), 'fallback after 0')
      clock.tick(1)
      t.strictSame([await send('bad'), breaker.state], ['fallback after 1', CircuitState.Open], 'the probe failed')
      clock.tick(10_000)
      const probe = mediator.stream(Work, 'good')
      for await (const progress of probe) t.strictSame([progress, breaker.state], [1, CircuitState.HalfOpen])
      t.strictSame([await probe.result, breaker.state], ['primary', CircuitState.Closed])
      t.equal(await send('good'), 'primary')
    })
  }

  t.test('counts only failures that the fallback is for', async t => {
    const breaker = consecutive()
    const { mediator } = createMediator(t)
    const on = (error: unknown): boolean => error === broken
    mediator.addHandler(Work, withFallback(async function * (error: unknown) { throw error }, tell, { breaker, on }))
    mediator.addHandler(Call, withFallback(async (error: unknown): Promise<unknown> => { throw error }, () => 'fallback', { breaker, on }))
    for (let n = 0; n < 3; n++) {
      t.match(await rejection(mediator.send(Work, new Error('bad input'))), { message: 'bad input' })
      t.match(await rejection(mediator.send(Call, new Error('bad input'))), { message: 'bad input' })
    }
    t.equal(breaker.state, CircuitState.Closed)
    await mediator.send(Work, broken)
    t.equal(await mediator.send(Call, broken), 'fallback')
    t.equal(breaker.state, CircuitState.Open)
  })

  t.test('closes by a regular command', async t => {
    const clock = createClock(t)
    const breaker = consecutive()
    const { mediator } = createMediator(t)
    mediator.addHandler(Call, withFallback(async (fails: boolean) => {
      if (fails) throw broken
      return 'primary'
    }, () => 'fallback', { breaker }))
    for (let n = 0; n < 2; n++) await mediator.send(Call, true)
    clock.tick(10_000)
    t.equal(await mediator.send(Call, false), 'primary')
    t.equal(breaker.state, CircuitState.Closed)
  })

  // A breaker that waits for the run which it tries; who comes after it would wait, too.
  const halfOpen = async (t: Test, handler: (breaker: CircuitBreakerPolicy) => (input: any, context: any) => unknown): Promise<{
    breaker: CircuitBreakerPolicy, mediator: StreamingMediator, logs: LogLine[]
  }> => {
    const clock = createClock(t)
    const breaker = consecutive()
    const created = createWorker(t, handler(breaker))
    for (let n = 0; n < 2; n++) await breaker.execute(() => { throw broken }).catch(() => {})
    clock.tick(10_000)
    return { ...created, breaker }
  }

  t.test('is neither opened nor left half-open by a client that leaves', async t => {
    const { breaker, mediator } = await halfOpen(t, breaker => withFallback(async function * () { yield 1 }, tell, { breaker }))
    await leave(mediator.stream(Work, 1))
    t.equal(breaker.state, CircuitState.Closed)
    for (let n = 0; n < 5; n++) await leave(mediator.stream(Work, 1))
    t.equal(breaker.state, CircuitState.Closed)
  })

  t.test('is not opened by handlers that throw because their client left', async t => {
    const { breaker, mediator } = await halfOpen(t, breaker => withFallback(async function * (_input: unknown, { signal }: HandlerContext) {
      yield 1
      await sleep(60_000, undefined, { signal })
    }, tell, { breaker }))
    for (let n = 0; n < 3; n++) {
      const stream = mediator.stream(Work, 1)
      const iterator = stream[Symbol.asyncIterator]()
      await iterator.next()
      const next = rejection(iterator.next())
      stream.abort()
      await next
      await rejection(stream.result)
      t.equal(breaker.state, CircuitState.Closed)
    }
  })

  t.test('is released by a handler that goes on for ever when its client has left', async t => {
    const { breaker, mediator } = await halfOpen(t, breaker => withFallback(async function * (input: string) {
      if (input === 'probe') await never
      return input
    }, tell, { breaker }))
    const probe = mediator.stream(Work, 'probe')
    const result = rejection(probe.result)
    await sleep(0)
    t.equal(breaker.state, CircuitState.HalfOpen)
    probe.abort()
    t.equal(await within(500, mediator.send(Work, 'next')), 'next')
    await result
  })

  t.test('is released by a generator that is never started', async t => {
    const { breaker, mediator } = await halfOpen(t, breaker => withFallback(async () => {
      stream.abort()
      return (async function * () { yield 1 })()
    }, tell, { breaker }))
    const stream = mediator.stream(Work, 1)
    await rejection(stream.result)
    t.equal(breaker.state, CircuitState.Closed)
  })

  t.test('is released where nobody reads what the handler returned', async t => {
    const breaker = consecutive()
    let ended = 0
    const handler = withFallback(async () => (async function * () {
      try {
        yield 1
      } finally {
        ended++
      }
    })(), tell, { breaker })
    const clock = createClock(t)
    for (let n = 0; n < 2; n++) await breaker.execute(() => { throw broken }).catch(() => {})
    clock.tick(10_000)
    const context = { streamId: 'a', signal: new AbortController().signal } as HandlerContext
    const steps = await handler(1, context) as AsyncGenerator
    t.equal(breaker.state, CircuitState.HalfOpen)
    await steps.return(undefined)
    await sleep(0)
    t.strictSame([breaker.state, ended], [CircuitState.Closed, 0])
  })

  t.test('is released when on throws', async t => {
    const on = (error: unknown): boolean => (error as { code: string }).code === 'BUSY'
    const { breaker, mediator } = await halfOpen(t, breaker => withFallback(() => { throw null }, () => { throw new Error('not called') }, { breaker, on })) // eslint-disable-line no-throw-literal
    t.match(await rejection(mediator.send(Work, 1)), { name: 'TypeError' })
    t.equal(breaker.state, CircuitState.Closed)
  })

  t.test('lets others wait for the run that it tries', async t => {
    const gate = deferred()
    let probing = 0
    const { mediator } = await halfOpen(t, breaker => withFallback(async function * (input: string) {
      if (input === 'probe') {
        probing++
        await gate.promise
        throw broken
      }
      return input
    }, async function * (input) { return `fallback of ${input}` }, { breaker }))
    const probe = mediator.send(Work, 'probe')
    await sleep(0)
    const other = mediator.send(Work, 'other')
    await sleep(0)
    t.equal(probing, 1)
    gate.resolve()
    t.strictSame(await Promise.all([probe, other]), ['fallback of probe', 'fallback of other'])
  })

  t.test('lets a client leave that waits for the run which it tries, and starts nothing for it', async t => {
    const gate = deferred()
    const started: string[] = []
    const { breaker, mediator, logs } = await halfOpen(t, breaker => withFallback(async function * (input: string) {
      started.push(input)
      await gate.promise
      return input
    }, async function * (input) { return `fallback of ${input}` }, { breaker }))
    const probe = mediator.send(Work, 'probe')
    await sleep(0)
    const waiting = mediator.stream(Work, 'waiting')
    const left = rejection(waiting.result)
    await sleep(0)
    waiting.abort()
    t.match(await within(500, left), { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
    t.equal(breaker.state, CircuitState.HalfOpen)
    gate.resolve()
    t.equal(await probe, 'probe')
    t.equal(await mediator.send(Work, 'next'), 'next')
    t.strictSame(started, ['probe', 'next'])
    t.strictSame(logs, [])
  })
})

t.test('event handlers', async t => {
  t.test('fall back to another one, without anything delivered', async t => {
    const { mediator, logs } = createMediator(t)
    const handled: unknown[] = []
    mediator.addEventHandler(Happened, withFallback(
      async function book (_event: { readonly payload: unknown }) { throw broken },
      async ({ payload }, context) => {
        handled.push(payload, 'delivered' in context)
        context.emit(Other, 'follow-up')
      }))
    mediator.addEventHandler(Other, ({ payload }) => { handled.push(payload) })
    await mediator.publish(Happened, 'a')
    t.strictSame(handled, ['a', false, 'follow-up'])
    t.match(logs, [{ level: 40, handler: 'book', event: 'happened' }])
  })

  t.test('count for the breaker, which spares the primary while it is open', async t => {
    const clock = createClock(t)
    const breaker = circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(2) })
    const { mediator } = createMediator(t)
    const handled: string[] = []
    mediator.addEventHandler(Happened, withFallback((event: { readonly payload: unknown }) => {
      handled.push('primary')
      if (event.payload === 'bad') throw broken
    }, () => { handled.push('fallback') }, { breaker }))
    for (const payload of ['bad', 'bad', 'good']) await mediator.publish(Happened, payload)
    t.strictSame(handled.splice(0), ['primary', 'fallback', 'primary', 'fallback', 'fallback'])
    clock.tick(1_000)
    await mediator.publish(Happened, 'good')
    t.strictSame(handled, ['primary'])
    t.equal(breaker.state, CircuitState.Closed)
  })

  t.test('run both again where both have failed and there are retries', async t => {
    const { mediator } = createMediator(t)
    const ran: string[] = []
    mediator.addEventHandler(Happened, withFallback((_event: unknown) => {
      ran.push('primary')
      throw broken
    }, () => {
      ran.push('fallback')
      if (ran.length < 4) throw new Error('broken, too')
    }), { retries: 1 })
    await mediator.publish(Happened, 1)
    t.strictSame(ran, ['primary', 'fallback', 'primary', 'fallback'])
  })

  for (const [name, wait] of Object.entries({
    'listens to its signal': async (signal: AbortSignal) => { await once(signal, 'abort').then(() => signal.throwIfAborted()) },
    'goes on for ever': async () => { await never }
  })) {
    t.test(`that take too long count as failed, and their attempt has no fallback: one that ${name}`, async t => {
      createClock(t)
      const breaker = circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(1) })
      const { mediator } = createMediator(t)
      let fallbacks = 0
      mediator.addEventHandler(Happened, withFallback(
        async (_event: unknown, { signal }: { readonly signal: AbortSignal }) => { await wait(signal) },
        () => { fallbacks++ },
        { breaker }
      ), { timeoutMs: 10 })
      t.match(await rejection(mediator.publish(Happened, 1)), { cause: { code: 'MEDIATOR_ERR_EVENT_HANDLER_TIMEOUT' } })
      t.equal(fallbacks, 0)
      t.equal(breaker.state, CircuitState.Open)
      await mediator.publish(Happened, 2)
      t.equal(fallbacks, 1)
    })
  }

  t.test('that are generators release the breaker, though nobody reads them', async t => {
    const clock = createClock(t)
    const breaker = circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(1) })
    await breaker.execute(() => { throw broken }).catch(() => {})
    clock.tick(1_000)
    const { mediator } = createMediator(t)
    mediator.addEventHandler(Happened, withFallback(async function * (_event: unknown) { yield 1 }, async function * () {}, { breaker }))
    await mediator.publish(Happened, 1)
    t.equal(breaker.state, CircuitState.Closed)
  })

  t.test('leave no listener behind', async t => {
    const breaker = circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(2) })
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    t.intercept(signal, 'addEventListener', { value: (...args: Parameters<typeof add>) => { listeners++; add(...args) } })
    t.intercept(signal, 'removeEventListener', { value: (...args: Parameters<typeof remove>) => { listeners--; remove(...args) } })
    const log = { warn () {} }
    const handler = withFallback((fails: boolean) => { if (fails) throw broken }, () => {}, { breaker })
    for (const fails of [false, true, true, true]) await handler(fails, { signal, log } as unknown as HandlerContext)
    t.equal(breaker.state, CircuitState.Open)
    t.equal(listeners, 0)
  })
})

t.test('nothing was rejected without a reader', async t => {
  await sleep(0)
  t.strictSame(unhandled, [])
})
