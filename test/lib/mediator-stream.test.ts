import { getEventListeners, once } from 'node:events'
import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { Test } from 'tap'
import { defineCommand } from '../../lib/definition.js'
import { defineEvent } from '../../lib/event.js'
import type { AnyHandler, HandlerContext, StreamingHandler } from '../../lib/handler.js'
import type { StreamOptions } from '../../lib/call-options.js'
import type { MediatorStream } from '../../lib/mediator-stream.js'
import type { MediatorOptions } from '../../lib/mediator-options.js'
import type { StreamingMediator } from '../../lib/streaming-mediator.js'
import { collect, createMediator, deferred, leave, rejection, within } from './support.js'
import type { LogLine } from './support.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => { unhandled.push(error) })

const Run = defineCommand({ name: 'run', input: Type.Any(), progress: Type.Any(), result: Type.Any() })
const Happened = defineEvent({ name: 'happened', payload: Type.Any() })

interface Setup {
  readonly stream: MediatorStream<typeof Run>
  readonly mediator: StreamingMediator
  readonly logs: LogLine[]
}

function start (t: Test, handler: AnyHandler, options?: StreamOptions, mediatorOptions?: MediatorOptions): Setup {
  const { mediator, logs } = createMediator(t, mediatorOptions)
  mediator.addHandler(Run, handler as StreamingHandler<typeof Run>)
  return { stream: mediator.stream(Run, 'input', options), mediator, logs }
}

const turn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })
const never = new Promise<never>(() => {})
const aborted = { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'cancelled' }

function untilAborted ({ signal }: HandlerContext): Promise<never> {
  return new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
}

t.test('lazy start', async t => {
  t.test('runs nothing before it is read', async t => {
    let calls = 0
    const { stream, mediator } = start(t, () => { calls++ })
    t.match(stream.streamId, /^[\w-]{22}$/)
    t.equal(stream.definition, Run)
    const { result } = stream
    const iterator = stream[Symbol.asyncIterator]()
    await turn()
    t.equal(calls, 0)
    t.equal(mediator.stats().streams, 0)
    t.equal(stream.endReason, undefined)
    await iterator.next()
    t.equal(calls, 1)
    t.equal(await result, null)
  })

  t.test('runs nothing when it is aborted before it is read', async t => {
    let calls = 0
    const { stream, mediator } = start(t, () => { calls++ })
    stream.abort('unwanted')
    t.equal(stream.endReason, 'cancelled')
    const error = await rejection(stream.result)
    t.match(error, { ...aborted, cause: 'unwanted' })
    t.equal(mediator.stats().streams, 0)
    t.equal(calls, 0)
  })

  t.test('rejects a loop over a stream that was aborted before it is read', async t => {
    let calls = 0
    const { stream } = start(t, () => { calls++ })
    stream.abort()
    t.match(await rejection(collect(stream)), aborted)
    t.equal(calls, 0)
  })

  t.test('runs nothing when its iterator is returned before the first read', async t => {
    let calls = 0
    const { stream } = start(t, () => { calls++ })
    const iterator = stream[Symbol.asyncIterator]()
    t.strictSame(await iterator.return!(), { done: true, value: undefined })
    t.strictSame(await iterator.next(), { done: true, value: undefined })
    t.match(await rejection(stream.result), aborted)
    t.equal(calls, 0)
  })

  t.test('passes the input and a context to the handler', async t => {
    const { stream } = start(t, async (input, { streamId, resumeAfter, log, signal }) => {
      log.info('hello')
      return { input, streamId, resumeAfter, aborted: signal.aborted }
    }, { resumeAfter: 5 })
    t.strictSame(await stream.result, { input: 'input', streamId: stream.streamId, resumeAfter: 5, aborted: false })
  })

  t.test('gives the handler a log that names stream and command, below the one that was given', async t => {
    const { mediator, logs } = start(t, (_input, { log }) => { log.info('hello') })
    const { result, streamId } = mediator.stream(Run, null)
    await result
    t.match(logs, [{ msg: 'hello', streamId, command: 'run' }])
  })
})

t.test('reading', async t => {
  t.test('gives progress in order, then the result', async t => {
    const { stream } = start(t, async function * () {
      yield 1
      await turn()
      yield 2
      return 'result'
    })
    t.strictSame(await collect(stream), [1, 2])
    t.equal(stream.endReason, 'completed')
    t.equal(await stream.result, 'result')
    t.equal(await stream.result, 'result')
  })

  t.test('drains for its result alone', async t => {
    let steps = 0
    const { stream } = start(t, async function * () {
      for (let n = 0; n < 100; n++) {
        steps++
        yield n
      }
      return 'result'
    })
    t.equal(await within(1_000, stream.result), 'result')
    t.equal(steps, 100)
  })

  t.test('lets others have the event loop while it drains a handler that never awaits', async t => {
    let timerFired = false
    const late = performance.now() + 2_000
    const { stream } = start(t, async function * () {
      for (;;) {
        if (timerFired) return 'stopped by the timer'
        if (performance.now() > late) return 'the timer never fired'
        yield 1
      }
    })
    setTimeout(() => { timerFired = true }, 1)
    t.equal(await stream.result, 'stopped by the timer')
  })

  t.test('is still read by a loop that begins in the tick in which its result was caught', async t => {
    const { stream } = start(t, async function * () {
      yield 1
      return 'result'
    })
    const result = stream.result.catch(() => 'failed')
    t.strictSame(await collect(stream), [1])
    t.equal(await result, 'result')
  })

  t.test('is read once', async t => {
    const { stream } = start(t, async function * () { yield 1 })
    t.strictSame(await collect(stream), [1])
    t.match(await rejection(collect(stream)), { code: 'MEDIATOR_ERR_STREAM_ITERATED', message: /"run"/ })
    t.throws(() => stream[Symbol.asyncIterator](), { code: 'MEDIATOR_ERR_STREAM_ITERATED' })
  })

  t.test('is not read by a loop after its result was awaited', async t => {
    const { stream } = start(t, async function * () { yield 1 })
    await stream.result
    t.match(await rejection(collect(stream)), { code: 'MEDIATOR_ERR_STREAM_ITERATED' })
  })

  t.test('does not run ahead of its reader', async t => {
    let steps = 0
    const { stream } = start(t, async function * () {
      for (;;) yield ++steps
    })
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    await iterator.next()
    await turn()
    t.equal(steps, 2)
    await iterator.return!()
  })

  t.test('answers concurrent calls of next in order', async t => {
    const { stream } = start(t, async function * () {
      yield 1
      await turn()
      yield 2
    })
    const iterator = stream[Symbol.asyncIterator]()
    const order: number[] = []
    const calls = [0, 1, 2, 3].map(async n => {
      const step = await iterator.next()
      order.push(n)
      return step
    })
    t.strictSame(await within(1_000, Promise.all(calls)), [
      { done: false, value: 1 }, { done: false, value: 2 }, { done: true, value: undefined }, { done: true, value: undefined }
    ])
    t.strictSame(order, [0, 1, 2, 3])
  })

  t.test('rejects the first of concurrent calls of next and ends the others', async t => {
    const error = new Error('broken')
    const { stream } = start(t, async function * () { throw error })
    const iterator = stream[Symbol.asyncIterator]()
    const [first, second] = await Promise.allSettled([iterator.next(), iterator.next()])
    t.strictSame(first, { status: 'rejected', reason: error })
    t.strictSame(second, { status: 'fulfilled', value: { done: true, value: undefined } })
    t.strictSame(await iterator.next(), { done: true, value: undefined })
  })

  t.test('keeps an error that comes between two reads for the next one', async t => {
    const { stream } = start(t, async function * () {
      yield 1
      yield 2
    })
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    stream.abort()
    t.match(await rejection(iterator.next()), aborted)
    t.strictSame(await iterator.next(), { done: true, value: undefined })
  })

  t.test('gives no progress for a yielded undefined, whose events are handled', async t => {
    const handled: unknown[] = []
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      yield 1
      emit(Happened, 'a')
      yield undefined
      t.strictSame(handled, ['a'])
      yield null
    })
    mediator.addEventHandler(Happened, ({ payload }) => { handled.push(payload) })
    t.strictSame(await collect(stream), [1, null])
  })
})

t.test('what the handler returns decides', async t => {
  async function * upstream (): AsyncGenerator<number, string> {
    yield 1
    return 'end'
  }
  for (const [name, handler, progress, result] of [
    ['an async generator function', upstream, [1], 'end'],
    ['a generator function', function * () { yield 1; return 'end' }, [1], 'end'],
    ['a generator function that yields promises', function * () { yield Promise.resolve(1); return Promise.resolve('end') }, [1], 'end'],
    ['a plain function that returns an async iterable', () => upstream(), [1], 'end'],
    ['an async function that returns an async iterable', async () => upstream(), [1], 'end'],
    ['a function that returns a Readable', () => Readable.from(['a', 'b']), ['a', 'b'], null],
    ['an async function that returns a web stream', async () => new Blob(['a']).stream().pipeThrough(new TextDecoderStream()), ['a'], null],
    ['a plain function', () => 'value', [], 'value'],
    ['an async function', async () => 'value', [], 'value'],
    ['a function that returns an array', () => [1, 2], [], [1, 2]],
    ['a function that returns a string', async () => 'abc', [], 'abc'],
    ['a function that returns nothing', () => {}, [], null],
    ['an async function that returns nothing', async () => {}, [], null],
    ['a generator function that returns nothing', async function * () { yield 0 }, [0], null],
    ['a function that returns false', () => false, [], false]
  ] as Array<[string, AnyHandler, unknown[], unknown]>) {
    t.test(name, async t => {
      const { stream } = start(t, handler)
      t.strictSame(await collect(stream), progress)
      t.strictSame(await stream.result, result)
      const drained = start(t, handler).stream
      t.strictSame(await drained.result, result)
    })
  }
})

t.test('a handler that throws', async t => {
  const error = new Error('broken')
  for (const [name, handler, progress] of [
    ['in a plain function', () => { throw error }, []],
    ['in an async function', async () => { throw error }, []],
    ['before its first yield', async function * () { throw error }, []],
    ['between yields', async function * () { yield 1; throw error }, [1]],
    ['in a synchronous generator', function * () { yield 1; throw error }, [1]],
    ['by yielding a rejected promise', function * () { yield 1; yield Promise.reject(error) }, [1]],
    ['by a stream that breaks', () => Readable.from((function * () { yield 'a'; throw error })()), ['a']],
    ['by an iterable that has no iterator', () => ({ [Symbol.asyncIterator] () { throw error } }), []],
    ['by a promise of an iterable that has no iterator', async () => ({ [Symbol.asyncIterator] () { throw error } }), []],
    ['by an iterator whose next throws', () => ({ [Symbol.asyncIterator]: () => ({ next () { throw error } }) }), []]
  ] as Array<[string, AnyHandler, unknown[]]>) {
    t.test(`${name} fails its stream`, async t => {
      const { stream, mediator } = start(t, handler)
      const seen: unknown[] = []
      t.equal(await rejection((async () => { for await (const value of stream) seen.push(value) })()), error)
      t.strictSame(seen, progress)
      t.equal(await rejection(stream.result), error)
      t.equal(stream.endReason, 'failed')
      t.equal(mediator.stats().streams, 0)
      t.equal(await rejection(start(t, handler).stream.result), error)
    })
  }

  t.test('anything, even undefined', async t => {
    for (const thrown of [undefined, null, 0, 'text']) {
      const { stream } = start(t, async function * () { throw thrown })
      const iterator = stream[Symbol.asyncIterator]()
      t.strictSame(await Promise.allSettled([iterator.next(), stream.result]), [{ status: 'rejected', reason: thrown }, { status: 'rejected', reason: thrown }])
    }
  })

  for (const step of [undefined, null, 5, 'done', Symbol('s')]) {
    t.test(`gives ${String(step)} instead of a step of an iterator fails its stream`, async t => {
      const { stream } = start(t, () => ({ [Symbol.asyncIterator]: () => ({ next: async () => step }) }))
      t.match(await rejection(collect(stream)), { name: 'TypeError', message: /"run"/ })
      t.match(await rejection(stream.result), { name: 'TypeError' })
    })
  }
})

t.test('leaving the loop', async t => {
  t.test('runs the finally block before the loop ends, and rejects the result', async t => {
    const order: string[] = []
    const { stream, mediator } = start(t, async function * (_input, { signal }) {
      try {
        yield 1
        yield 2
      } finally {
        order.push(signal.aborted ? 'aborted' : 'not aborted')
        await turn()
        order.push('finally')
      }
    })
    for await (const value of stream) {
      order.push(`progress ${value}`)
      if (value === 1) break
    }
    order.push('left')
    t.strictSame(order, ['progress 1', 'aborted', 'finally', 'left'])
    t.match(await rejection(stream.result), aborted)
    t.equal(stream.endReason, 'cancelled')
    t.equal(mediator.stats().streams, 0)
  })

  t.test('by a throw keeps the error of the loop', async t => {
    let ended = false
    const { stream } = start(t, async function * () {
      try {
        yield 1
      } finally {
        ended = true
      }
    })
    const error = new Error('of the loop')
    t.equal(await rejection((async () => {
      for await (const value of stream) if (value === 1) throw error
    })()), error)
    t.equal(ended, true)
  })

  t.test('destroys a Readable that is the upstream', async t => {
    const readable = new Readable({ objectMode: true, read () { this.push('a') } })
    const { stream } = start(t, () => readable)
    await leave(stream)
    t.equal(readable.destroyed, true)
  })

  t.test('ends a synchronous generator', async t => {
    let ended = false
    const { stream } = start(t, function * () {
      try {
        yield 1
      } finally {
        ended = true
      }
    })
    await leave(stream)
    t.equal(ended, true)
  })

  t.test('ends an iterator that has no return', async t => {
    const { stream, logs } = start(t, () => ({ [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: 1 }) }) }))
    await leave(stream)
    t.match(await rejection(stream.result), aborted)
    t.strictSame(logs, [])
  })

  for (const answer of [null, undefined, {}, { done: true }, 5]) {
    t.test(`ends an iterator whose return gives ${JSON.stringify(answer)}`, async t => {
      const iterator = { next: async () => ({ done: false, value: 1 }), return: async () => answer }
      const { stream, logs } = start(t, () => ({ [Symbol.asyncIterator]: () => iterator }))
      await leave(stream)
      t.match(await rejection(stream.result), aborted)
      t.strictSame(logs, [])
    })
  }

  t.test('goes on returning a generator that yields in its finally block', async t => {
    const order: string[] = []
    const { stream, logs } = start(t, async function * () {
      try {
        yield 1
      } finally {
        yield 'in finally'
        order.push('after it')
        yield 'again'
        order.push('not reached')
      }
    })
    await leave(stream)
    // `return` in a suspended finally block completes the generator there, as it does for every generator.
    t.strictSame(order, [])
    t.match(await rejection(stream.result), aborted)
    t.strictSame(logs, [])
  })

  t.test('warns about a finally block that throws, and still leaves', async t => {
    const { stream, logs } = start(t, async function * () {
      try {
        yield 1
      } finally {
        throw new Error('in finally') // eslint-disable-line no-unsafe-finally
      }
    })
    await leave(stream)
    t.match(await rejection(stream.result), aborted)
    t.match(logs, [{ level: 40, msg: 'handler failed after its stream had ended', command: 'run', streamId: stream.streamId, err: { message: 'in finally' } }])
  })

  t.test('warns once about a return that throws, and leaves at once', async t => {
    const { stream, logs } = start(t, () => ({
      [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: 1 }), return () { throw new Error('in return') } })
    }))
    await leave(stream)
    t.match(await within(500, stream.result.catch(error => error)), aborted)
    t.match(logs, [{ level: 40, msg: 'handler failed after its stream had ended', err: { message: 'in return' } }])
    t.equal(logs.length, 1)
  })

  t.test('lets go of a finally block that never ends after a second', async t => {
    const { stream, logs } = start(t, async function * () {
      try {
        yield 1
      } finally {
        await never
      }
    })
    const startedAt = performance.now()
    await within(5_000, leave(stream))
    t.ok(performance.now() - startedAt > 900)
    t.match(await rejection(stream.result), aborted)
    t.match(logs, [{ level: 40, msg: /handler goes on although its stream has ended/, command: 'run', reason: 'cancelled', ageMs: Number }])
    t.equal(logs.length, 1)
  })

  t.test('lets go of an iterator that never agrees to end', async t => {
    let returns = 0
    const { stream, logs } = start(t, () => ({
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: 1 }),
        async return () {
          returns++
          return { done: false, value: 'more' }
        }
      })
    }))
    await within(5_000, leave(stream))
    t.equal(returns, 100)
    t.match(logs, [{ level: 40, msg: /handler goes on/ }])
  })
})

t.test('abort', async t => {
  t.test('ends a handler that awaits its signal', async t => {
    const reached = deferred()
    const done = deferred<unknown>()
    const { stream, mediator, logs } = start(t, async function * (_input, context) {
      try {
        yield 1
        reached.resolve()
        await untilAborted(context)
      } finally {
        done.resolve(context.signal.reason)
      }
    })
    const read = collect(stream)
    read.catch(() => {})
    await reached.promise
    const reason = new Error('the reason')
    stream.abort(reason)
    t.equal(stream.endReason, 'cancelled')
    const error = await rejection(read)
    t.match(error, aborted)
    t.equal(error.cause, reason)
    t.equal(await rejection(stream.result), error)
    t.equal(await within(1_000, done.promise), error, 'the reason of the signal is the error of the stream')
    t.equal(mediator.stats().streams, 0)
    t.strictSame(logs, [])
  })

  for (const [name, rejectWith] of [
    ['an AbortError of its own', () => new DOMException('aborted', 'AbortError')],
    ['an error caused by its signal', (signal: AbortSignal) => new Error('wrapped', { cause: signal.reason })]
  ] as const) {
    t.test(`says nothing of a handler that ends with ${name}`, async t => {
      const { stream, logs } = start(t, async (_input, { signal }) => {
        stream.abort()
        throw rejectWith(signal)
      })
      t.match(await rejection(stream.result), aborted)
      await turn()
      t.strictSame(logs, [])
    })
  }

  for (const thrown of [new Error('another'), 'a string', undefined]) {
    t.test(`warns of a handler that ends with ${String(thrown)}`, async t => {
      const { stream, logs } = start(t, async () => {
        stream.abort()
        throw thrown
      })
      t.match(await rejection(stream.result), aborted)
      t.match(logs, [{ level: 40, msg: 'handler failed after its stream had ended' }])
    })
  }

  t.test('rejects the iteration at once and the result a second later where the handler ignores its signal', async t => {
    const blocked = deferred()
    const { stream, mediator, logs } = start(t, async function * () {
      yield 1
      blocked.resolve()
      await never
    })
    const read = collect(stream)
    read.catch(() => {})
    await blocked.promise
    const startedAt = performance.now()
    let settled = false
    stream.result.catch(() => {}).finally(() => { settled = true })
    stream.abort()
    t.match(await rejection(read), aborted)
    t.ok(performance.now() - startedAt < 100)
    t.equal(settled, false)
    t.equal(mediator.stats().streams, 1)
    t.match(await rejection(stream.result), aborted)
    const age = performance.now() - startedAt
    t.ok(age > 990 && age < 2_000, `${age}`)
    t.equal(mediator.stats().streams, 0)
    t.match(logs, [{ level: 40, command: 'run', streamId: stream.streamId, reason: 'cancelled', msg: /handler goes on although its stream has ended/ }])
    t.ok((logs[0]!['ageMs'] as number) >= 990)
    t.equal(logs.length, 1)
  })

  t.test('does the same to a plain function that never ends', async t => {
    const { stream, logs } = start(t, () => never)
    const result = rejection(stream.result)
    await turn()
    stream.abort()
    t.match(await result, aborted)
    t.match(logs, [{ level: 40, msg: /handler goes on/ }])
  })

  t.test('still handles what a handler emitted in the step that it does not leave', async t => {
    const handled = deferred<unknown>()
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      emit(Happened, 'a fact')
      await never
      yield 1
    })
    mediator.addEventHandler(Happened, ({ payload }) => { handled.resolve(payload) })
    const result = rejection(stream.result)
    await turn()
    stream.abort()
    await result
    t.equal(await within(1_000, handled.promise), 'a fact')
  })

  t.test('handles what was emitted in the finally block, and waits for it', async t => {
    const gate = deferred()
    const handled: unknown[] = []
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      try {
        emit(Happened, 'before')
        yield 1
        emit(Happened, 'not reached')
      } finally {
        emit(Happened, 'in finally')
      }
    })
    mediator.addEventHandler(Happened, async ({ payload }) => {
      await gate.promise
      handled.push(payload)
    })
    await leave(stream)
    let settled = false
    const result = rejection(stream.result).finally(() => { settled = true })
    await turn()
    t.equal(settled, false)
    gate.resolve()
    t.match(await result, aborted)
    t.strictSame(handled, ['before', 'in finally'])
  })

  t.test('does nothing after the end', async t => {
    const { stream } = start(t, async () => 'result')
    await stream.result
    stream.abort()
    t.equal(stream.endReason, 'completed')
    t.equal(await stream.result, 'result')
  })

  t.test('is told apart from the abort of another stream, which a handler passes on', async t => {
    const another = start(t, () => {}).stream
    another.abort()
    const { stream } = start(t, () => another.result)
    const error = await rejection(stream.result)
    t.match(error, aborted)
    t.equal(stream.endReason, 'failed')
    t.equal(stream.abortError, undefined)
    t.equal(another.abortError, error)
  })

  t.test('counts once', async t => {
    const { stream } = start(t, async (_input, context) => { await untilAborted(context) })
    const result = rejection(stream.result)
    await turn()
    stream.abort('first')
    stream.abort('second')
    t.equal((await result).cause, 'first')
  })

  t.test('wins over what the handler returns or yields afterwards', async t => {
    const { stream } = start(t, async function * () {
      stream.abort()
      yield 1
      return 'result'
    })
    t.match(await rejection(collect(stream)), aborted)
    t.match(await rejection(stream.result), aborted)
    const regular = start(t, async () => {
      regular.stream.abort()
      return 'result'
    })
    t.match(await rejection(regular.stream.result), aborted)
  })

  t.test('between the return of the handler and the end of its events keeps the events', async t => {
    const gate = deferred()
    const { stream, mediator } = start(t, async (_input, { emit }) => { emit(Happened, 1) })
    mediator.addEventHandler(Happened, () => gate.promise)
    const iterator = stream[Symbol.asyncIterator]()
    const next = rejection(iterator.next())
    await turn()
    stream.abort()
    t.match(await next, aborted)
    t.equal(mediator.stats().streams, 1)
    gate.resolve()
    t.match(await rejection(stream.result), aborted)
  })

  t.test('leaves nothing behind of an upstream that comes after it', async t => {
    const gate = deferred<Readable>()
    const { stream, logs } = start(t, () => gate.promise)
    const result = rejection(stream.result)
    await turn()
    stream.abort()
    const readable = new Readable({ read () {} })
    const closed = once(readable, 'close')
    gate.resolve(readable)
    await within(500, closed)
    t.equal(readable.destroyed, true)
    t.match(await result, aborted)
    t.strictSame(logs, [])
  })

  t.test('inside a handler leaves nothing behind of the upstream that it returns', async t => {
    const readable = new Readable({ read () {}, destroy (_error, callback) { callback(new Error('some streams complain about it')) } })
    const { stream, logs } = start(t, () => {
      stream.abort()
      return readable
    })
    t.match(await within(500, rejection(stream.result)), aborted)
    t.equal(readable.destroyed, true)
    t.strictSame(logs, [])
  })

  t.test('inside a handler never starts the generator that it returns', async t => {
    let started = false
    const { stream } = start(t, () => {
      stream.abort()
      return (async function * () {
        started = true
        yield 1
      })()
    })
    t.match(await within(500, rejection(stream.result)), aborted)
    t.equal(started, false)
  })

  t.test('is seen by a handler that asks for its signal afterwards', async t => {
    const gate = deferred()
    const seen = deferred<AbortSignal>()
    const { stream } = start(t, async (_input, context) => {
      await gate.promise
      seen.resolve(context.signal)
    })
    const result = rejection(stream.result)
    await turn()
    stream.abort()
    gate.resolve()
    const signal = await within(1_000, seen.promise)
    t.equal(signal.aborted, true)
    t.match(signal.reason, aborted)
    t.match(await result, aborted)
  })
})

t.test('a signal from outside', async t => {
  t.test('that is aborted already runs nothing', async t => {
    let calls = 0
    const reason = new Error('over')
    const { stream, mediator } = start(t, () => { calls++ }, { signal: AbortSignal.abort(reason) })
    const error = await rejection(collect(stream))
    t.match(error, aborted)
    t.equal(error.cause, reason)
    t.equal(await rejection(stream.result), error)
    t.equal(calls, 0)
    t.equal(mediator.stats().streams, 0)
  })

  t.test('aborts a running stream', async t => {
    const controller = new AbortController()
    const reason = new Error('over')
    const { stream } = start(t, async function * (_input, context) {
      yield 1
      await untilAborted(context)
    }, { signal: controller.signal })
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    const next = rejection(iterator.next())
    controller.abort(reason)
    const error = await next
    t.match(error, aborted)
    t.equal(error.cause, reason)
    t.equal(stream.endReason, 'cancelled')
    await rejection(stream.result)
    t.strictSame(getEventListeners(controller.signal, 'abort'), [])
  })

  for (const [name, handler] of [
    ['completed', async () => 'result'],
    ['failed', async () => { throw new Error('broken') }],
    ['failed at once', () => { throw new Error('broken') }],
    ['was cancelled', async (_input, context) => { await untilAborted(context) }]
  ] as Array<[string, AnyHandler]>) {
    t.test(`is left alone by a stream that ${name}`, async t => {
      const { signal } = new AbortController()
      const { stream } = start(t, handler, { signal })
      t.strictSame(getEventListeners(signal, 'abort'), [], 'nor before it starts')
      const result = stream.result.catch(() => {})
      await turn()
      if (name === 'was cancelled') {
        t.equal(getEventListeners(signal, 'abort').length, 1)
        stream.abort()
      }
      await within(1_000, result)
      t.strictSame(getEventListeners(signal, 'abort'), [])
    })
  }

  t.test('may be undefined', async t => {
    t.equal(await start(t, async () => 'result', { signal: undefined }).stream.result, 'result')
  })
})

t.test('events of a stream', async t => {
  t.test('are handled after each yield and at the end', async t => {
    const handled: unknown[] = []
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      emit(Happened, 1)
      emit(Happened, 2)
      t.strictSame(handled, [])
      yield 'a'
      t.strictSame(handled, [1, 2])
      emit(Happened, 3)
      return 'result'
    })
    mediator.addEventHandler(Happened, ({ payload }) => { handled.push(payload) })
    await collect(stream)
    t.strictSame(handled, [1, 2, 3])
  })

  t.test('are handled when the handler throws after emitting them', async t => {
    for (const handler of [
      (_input, { emit }) => { emit(Happened, 1); throw new Error('broken') },
      async (_input, { emit }) => { emit(Happened, 1); throw new Error('broken') },
      async function * (_input, { emit }) { emit(Happened, 1); throw new Error('broken') }
    ] as AnyHandler[]) {
      const gate = deferred()
      const handled: unknown[] = []
      const { stream, mediator } = start(t, handler)
      mediator.addEventHandler(Happened, async ({ payload }) => {
        await gate.promise
        handled.push(payload)
      })
      t.match(await rejection(collect(stream)), { message: 'broken' }, 'the reader is told at once')
      t.equal(mediator.stats().streams, 1)
      gate.resolve()
      t.match(await rejection(stream.result), { message: 'broken' })
      t.strictSame(handled, [1])
    }
  })

  t.test('do not hold back progress, and complete waits for them', async t => {
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      for (let n = 0; n < 20; n++) {
        for (let i = 0; i < 3; i++) emit(Happened, n)
        yield n
      }
    })
    let handled = 0
    mediator.addEventHandler(Happened, async () => {
      await new Promise(resolve => { setTimeout(resolve, 100) })
      handled++
    })
    const startedAt = performance.now()
    const iterator = stream[Symbol.asyncIterator]()
    for (let n = 0; n < 20; n++) t.equal((await iterator.next()).value, n)
    const progressAfter = performance.now() - startedAt
    t.equal(handled, 0)
    t.ok(progressAfter < 90, `${progressAfter} ms`)
    t.strictSame(await iterator.next(), { done: true, value: undefined })
    const endedAfter = performance.now() - startedAt
    t.equal(handled, 60)
    t.ok(endedAfter > 590 && endedAfter < 1_200, `${endedAfter} ms`)
  })

  t.test('stop the handler from being resumed while too many are pending', async t => {
    const gates: Array<ReturnType<typeof deferred<void>>> = []
    let steps = 0
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      for (;;) {
        steps++
        emit(Happened, steps)
        yield steps
      }
    }, {}, { maxPendingEvents: 3 })
    mediator.addEventHandler(Happened, () => {
      const gate = deferred()
      gates.push(gate)
      return gate.promise
    })
    const seen: unknown[] = []
    const read = (async () => { for await (const value of stream) seen.push(value) })()
    read.catch(() => {})
    await turn()
    t.equal(steps, 3)
    t.strictSame(seen, [1, 2, 3])
    gates[1]!.resolve()
    await turn()
    t.equal(steps, 4)
    gates[0]!.resolve()
    gates[2]!.resolve()
    await turn()
    t.equal(steps, 6)
    stream.abort()
    for (const gate of gates) gate.resolve()
    t.match(await rejection(read), aborted)
    t.match(await rejection(stream.result), aborted)
    t.equal(steps, 6)
  })

  t.test('fail the step that emits more than 10,000 of them', async t => {
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      for (let n = 0; n < 10_000; n++) emit(Happened, n)
      yield 'the next step may emit as many'
      for (let n = 0; n < 10_001; n++) emit(Happened, n)
    })
    let handled = 0
    mediator.addEventHandler(Happened, () => { handled++ })
    t.match(await rejection(stream.result), { code: 'MEDIATOR_ERR_TOO_MANY_EVENTS' })
    t.equal(handled, 20_000)
  })

  t.test('cannot be emitted after the handler has ended', async t => {
    let late: HandlerContext['emit'] | undefined
    const { stream, mediator } = start(t, async (_input, { emit }) => { late = emit })
    mediator.addEventHandler(Happened, () => {})
    await stream.result
    t.throws(() => late!(Happened, 1), { code: 'MEDIATOR_ERR_EMIT_AFTER_END' })
  })
})

t.test('an event handler that fails', async t => {
  const cause = new Error('event handler')
  const failed = { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause }

  t.test('ends the handler, and the stream once what was emitted by then is handled', async t => {
    const gate = deferred()
    const handled: unknown[] = []
    const order: string[] = []
    const { stream, mediator } = start(t, async function * (_input, context) {
      try {
        context.emit(Happened, 1)
        context.emit(Happened, 2)
        yield 'first'
        context.emit(Happened, 3)
        await untilAborted(context)
      } finally {
        order.push('finally')
        t.match(context.signal.reason, { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'failed', cause })
        context.emit(Happened, 4)
      }
    })
    mediator.addEventHandler(Happened, async ({ payload }) => {
      await gate.promise
      if (payload === 1) throw cause
      await turn()
      handled.push(payload)
    })
    const iterator = stream[Symbol.asyncIterator]()
    t.equal((await iterator.next()).value, 'first')
    const next = iterator.next()
    gate.resolve()
    const error = await rejection(next)
    order.push('rejected')
    t.match(error, failed)
    t.strictSame(order, ['finally', 'rejected'])
    t.strictSame(handled.sort(), [2, 3, 4])
    t.match(await rejection(stream.result), failed)
    t.equal(stream.endReason, 'failed')
    t.equal(mediator.stats().streams, 0)
  })

  t.test('synchronously takes no further step', async t => {
    let steps = 0
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      for (;;) {
        steps++
        emit(Happened, steps)
        yield steps
      }
    })
    mediator.addEventHandler(Happened, () => { throw cause })
    t.match(await rejection(collect(stream)), failed)
    t.equal(steps, 1)
  })

  t.test('wakes no handler that waits for events', async t => {
    const gate = deferred()
    let steps = 0
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      for (;;) {
        steps++
        emit(Happened, steps)
        yield steps
      }
    }, {}, { maxPendingEvents: 1 })
    mediator.addEventHandler(Happened, async () => {
      await gate.promise
      throw cause
    })
    const read = rejection(collect(stream))
    await turn()
    gate.resolve()
    t.match(await read, failed)
    t.equal(steps, 1)
  })

  t.test('of the last step fails the stream', async t => {
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      yield 1
      emit(Happened, 1)
      return 'result'
    })
    mediator.addEventHandler(Happened, async () => {
      await turn()
      throw cause
    })
    t.match(await rejection(collect(stream)), failed)
    t.match(await rejection(stream.result), failed)
    t.equal(stream.endReason, 'failed')
  })

  t.test('is one of several causes', async t => {
    const { stream, mediator } = start(t, (_input, { emit }) => {
      emit(Happened, 1)
      emit(Happened, 2)
    })
    mediator.addEventHandler(Happened, async ({ payload }) => { throw payload })
    const error = await rejection(stream.result)
    t.type(error.cause, AggregateError)
    t.strictSame((error.cause as AggregateError).errors, [1, 2])
  })

  t.test('does not hide what the handler threw', async t => {
    const { stream, mediator, logs } = start(t, (_input, { emit }) => {
      emit(Happened, 1)
      throw new Error('of the handler')
    })
    mediator.addEventHandler(Happened, () => { throw cause })
    t.match(await rejection(stream.result), { message: 'of the handler' })
    t.match(logs, [{ level: 50, msg: 'event handler failed', command: 'run', streamId: stream.streamId }])
  })

  t.test('changes nothing for a stream that was aborted', async t => {
    const gate = deferred()
    const { stream, mediator } = start(t, async function * (_input, { emit }) {
      emit(Happened, 1)
      yield 1
    })
    mediator.addEventHandler(Happened, async () => {
      await gate.promise
      throw cause
    })
    await leave(stream)
    gate.resolve()
    t.match(await rejection(stream.result), aborted)
    t.equal(stream.endReason, 'cancelled')
  })

  t.test('lets go of a handler that ignores its signal', async t => {
    const { stream, mediator, logs } = start(t, async function * (_input, { emit }) {
      emit(Happened, 1)
      yield 1
      emit(Happened, 2)
      await never
    })
    const handled: unknown[] = []
    mediator.addEventHandler(Happened, async ({ payload }) => {
      handled.push(payload)
      await turn()
      if (payload === 1) throw cause
    })
    t.match(await rejection(collect(stream)), failed)
    t.strictSame(handled, [1, 2])
    t.match(logs.find(({ level }) => level === 40), { reason: 'failed', msg: /handler goes on/ })
  })
})

t.test('never leaves a rejection unhandled', async t => {
  for (const handler of [
    () => { throw new Error('broken') },
    async () => { throw new Error('broken') },
    async function * () { yield 1; throw new Error('broken') },
    () => ({ [Symbol.asyncIterator] () { throw new Error('broken') } }),
    async () => ({ [Symbol.asyncIterator] () { throw new Error('broken') } }),
    () => ({ [Symbol.asyncIterator]: () => ({ next: async () => undefined }) })
  ] as AnyHandler[]) {
    const iterated = start(t, handler).stream
    t.ok(iterated.result)
    await collect(iterated).catch(() => {})
    const left = start(t, handler).stream
    await leave(left).catch(() => {})
    const cancelled = start(t, handler).stream
    t.ok(cancelled.result)
    cancelled.abort()
  }
  await turn()
  await turn()
  t.strictSame(unhandled, [], 'nor in any test before')
})

t.test('survives an error that cannot be looked at, thrown after the end', async t => {
  const { stream } = start(t, async function * (_input, { signal }) {
    await once(signal, 'abort')
    throw new Proxy(new Error('x'), { get () { throw new Error('trap') } })
  })
  const next = stream[Symbol.asyncIterator]().next()
  stream.abort()
  await t.rejects(next, aborted)
  await t.rejects(stream.result, aborted)
  await turn()
  t.same(unhandled, [])
})

t.test('fails when a step of a hand-written iterator cannot be read', async t => {
  const { stream } = start(t, () => ({
    [Symbol.asyncIterator]: () => ({ next: async () => ({ get done (): boolean { throw new Error('trap') }, value: 1 }) })
  }))
  await t.rejects(stream.result, { message: 'trap' })
})
