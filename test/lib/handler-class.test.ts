import { once } from 'node:events'
import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import { asClass, asValue, createContainer } from 'awilix'
import t from 'tap'
import { defineCommand } from '../../lib/definition.js'
import type { InputOf } from '../../lib/definition.js'
import { defineEvent } from '../../lib/event.js'
import type { EmittedEvent, EventContext, EventItem } from '../../lib/event.js'
import type { HandlerContext } from '../../lib/handler.js'
import { handlerName } from '../../lib/handler-class.js'
import type { Scope } from '../../lib/scope.js'
import { collect, createMediator, deferred, leave, rejection, within } from './support.js'

const Work = defineCommand({ name: 'work', input: Type.Integer(), progress: Type.Integer(), result: Type.Any() })
const Add = defineCommand({ name: 'add', input: Type.Object({ a: Type.Integer(), b: Type.Integer() }), result: Type.Any() })
const Happened = defineEvent({ name: 'happened', payload: Type.Any() })
const FollowedUp = defineEvent({ name: 'followed.up', payload: Type.Any() })

const unhandled: unknown[] = []
process.on('unhandledRejection', error => { unhandled.push(error) })

const turn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

class Adder {
  readonly #offset: number
  constructor (offset = 0) { this.#offset = offset }
  handle ({ a, b }: InputOf<typeof Add>): number { return a + b + this.#offset }
}

t.test('a class', async t => {
  t.test('is made once a stream, and handles it with its own `this`', async t => {
    const { mediator } = createMediator(t)
    let made = 0
    class Counter {
      readonly number = ++made
      async * handle (to: number, { streamId }: HandlerContext): AsyncGenerator<number, unknown, void> {
        for (let n = 1; n <= to; n++) yield n
        return [this.number, streamId]
      }
    }
    mediator.addHandler(Work, Counter)
    t.equal(made, 0)
    const stream = mediator.stream(Work, 3)
    t.equal(made, 0, 'not before the stream is read')
    t.strictSame(await collect(stream), [1, 2, 3])
    t.strictSame(await stream.result, [1, stream.streamId])
    const [, second] = await Promise.all([mediator.send(Work, 1), mediator.send(Work, 1)])
    t.equal(second[0], 3)
  })

  t.test('may be a regular handler, and have its method as a member', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Add, Adder)
    mediator.addHandler(Work, class {
      readonly handle = async function * (): AsyncGenerator<number, unknown, void> { return 'member' }
    })
    t.equal(await mediator.send(Add, { a: 1, b: 2 }), 3)
    t.equal(await mediator.send(Work, 1), 'member')
  })

  t.test('may be one of a chain', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Add, [async (input, { next }) => `chained ${await next(input)}`, Adder])
    t.equal(await mediator.send(Add, { a: 1, b: 2 }), 'chained 3')
  })

  t.test('is known by its method, also when it is written as a function', async t => {
    const { mediator } = createMediator(t)
    function Old (this: { sum: (a: number, b: number) => number }): void { this.sum = (a, b) => a + b }
    Old.prototype.handle = function ({ a, b }: { a: number, b: number }): number { return this.sum(a, b) }
    mediator.addHandler(Add, Old as unknown as typeof Adder)
    t.equal(await mediator.send(Add, { a: 2, b: 2 }), 4)
  })

  t.test('whose constructor throws fails its stream', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Work, class {
      constructor () { throw new Error('no database') }
      async * handle (): AsyncGenerator<number, null, void> { return null }
    })
    t.match(await rejection(mediator.send(Work, 1)), { message: 'no database' })
  })

  t.test('without the method is refused when it is resolved', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Work, class Nothing {} as unknown as new () => { handle: () => AsyncGenerator<number, null, void> })
    t.match(await rejection(mediator.send(Work, 1)), { code: 'MEDIATOR_ERR_INVALID_HANDLER', message: /"work".*Nothing, which was resolved to something without a method/ })
  })

  t.test('with constructor arguments needs a scope, and so does a name', async t => {
    const { mediator } = createMediator(t)
    class Charge {
      constructor (readonly db: object) {}
      async * handle (): AsyncGenerator<number, null, void> { return null }
    }
    mediator.addHandler(Work, Charge)
    mediator.addHandler(Add, 'adder')
    t.match(await rejection(mediator.send(Work, 1)), { code: 'MEDIATOR_ERR_INVALID_HANDLER', message: /"Charge".*pass the option scope/ })
    t.match(await rejection(mediator.send(Add, { a: 1, b: 1 })), { code: 'MEDIATOR_ERR_INVALID_HANDLER', message: /"adder".*pass the option scope/ })
  })
})

t.test('a scope', async t => {
  t.test('is any object with resolve, which gets the class or the name', async t => {
    const asked: unknown[] = []
    const symbol = Symbol('adder')
    const scope: Scope = {
      resolve (target) {
        asked.push(target)
        return { handle: () => 'resolved' }
      }
    }
    const Named = defineCommand({ name: 'named', input: Type.Null(), result: Type.Any() })
    const { mediator } = createMediator(t, { scope: () => scope })
    mediator.addHandler(Add, Adder)
    mediator.addHandler(Work, 'worker')
    mediator.addHandler(Named, symbol)
    t.equal(await mediator.send(Add, { a: 1, b: 1 }), 'resolved')
    t.equal(await mediator.send(Work, 1), 'resolved')
    t.equal(await mediator.send(Named, null), 'resolved')
    t.strictSame(asked, [Adder, 'worker', symbol])
  })

  for (const [what, promised] of [
    ['a promise', async () => new Adder(10)],
    ['a thenable', () => ({ then: (resolve: (value: Adder) => void) => { resolve(new Adder(10)) } })]
  ] as const) {
    t.test(`may resolve to ${what}`, async t => {
      const { mediator } = createMediator(t, { scope: () => ({ resolve: promised }) })
      mediator.addHandler(Add, 'adder')
      t.equal(await mediator.send(Add, { a: 1, b: 1 }), 12)
    })
  }

  for (const resolved of [undefined, null, {}, { handle: 5 }, Promise.resolve(null), 'text']) {
    t.test(`that resolves to ${resolved instanceof Promise ? 'a promise of null' : JSON.stringify(resolved)} has no handler`, async t => {
      const { mediator } = createMediator(t, { scope: () => ({ resolve: () => resolved }) })
      mediator.addHandler(Add, 'adder')
      t.match(await rejection(mediator.send(Add, { a: 1, b: 1 })), { code: 'MEDIATOR_ERR_INVALID_HANDLER', message: /"add".*adder, which was resolved to something/ })
    })
  }

  for (const [how, resolve] of [['throws', (): never => { throw new Error('unknown') }], ['rejects', async () => { throw new Error('unknown') }]] as const) {
    t.test(`that ${how} fails its stream`, async t => {
      const { mediator } = createMediator(t, { scope: () => ({ resolve }) })
      mediator.addHandler(Add, 'adder')
      t.match(await rejection(mediator.send(Add, { a: 1, b: 1 })), { message: 'unknown' })
    })
  }

  t.test('that resolves when its stream was aborted starts no handler', async t => {
    const gate = deferred()
    let disposed = 0
    const { mediator, logs } = createMediator(t, {
      scope: () => ({
        resolve: async () => {
          await gate.promise
          return { handle: () => { t.fail('handled') } }
        },
        dispose: () => { disposed++ }
      })
    })
    mediator.addHandler(Add, 'adder')
    const stream = mediator.stream(Add, { a: 1, b: 1 })
    const result = rejection(stream.result)
    await turn()
    stream.abort()
    gate.resolve()
    t.match(await result, { reason: 'cancelled' })
    await turn()
    t.equal(disposed, 1)
    t.strictSame(logs, [])
  })

  t.test('that resolves when an attempt at an event has timed out starts no event handler', async t => {
    let asked = 0
    let handled = 0
    const { mediator } = createMediator(t, {
      scope: () => ({
        resolve: async () => {
          if (++asked === 1) await new Promise(resolve => { setTimeout(resolve, 60) })
          return { handle: () => { handled++ } }
        }
      })
    })
    mediator.addEventHandler(Happened, 'audit', { timeoutMs: 30, retries: 1 })
    await within(5_000, mediator.publish(Happened, 1))
    t.strictSame([asked, handled], [2, 1], 'each attempt resolves its own')
  })
})

t.test('awilix', async t => {
  const register = (injectionMode: 'PROXY' | 'CLASSIC') => createContainer({ injectionMode, strict: true }).register({ offset: asValue(100) })

  class ProxyAdder extends Adder {
    constructor ({ offset }: { offset: number }) { super(offset) }
  }
  class ClassicAdder extends Adder {
    // eslint-disable-next-line @typescript-eslint/no-useless-constructor
    constructor (offset: number) { super(offset) }
  }

  for (const [injectionMode, Class] of [['PROXY', ProxyAdder], ['CLASSIC', ClassicAdder]] as const) {
    t.test(`builds classes that were not registered, with ${injectionMode} injection`, async t => {
      const container = register(injectionMode)
      const { mediator } = createMediator(t, { scope: () => container.createScope() })
      mediator.addHandler(Add, Class)
      t.equal(await mediator.send(Add, { a: 1, b: 1 }), 102)
    })

    t.test(`resolves names, with ${injectionMode} injection`, async t => {
      const container = register(injectionMode).register({ adder: asClass(Class).scoped() })
      const { mediator } = createMediator(t, { scope: () => container.createScope() })
      mediator.addHandler(Add, 'adder')
      t.equal(await mediator.send(Add, { a: 1, b: 1 }), 102)
    })
  }

  for (const [lifetime, madeInTwoStreams, disposedByThem] of [['SCOPED', 2, 2], ['SINGLETON', 1, 0], ['TRANSIENT', 6, 0]] as const) {
    t.test(`makes and disposes of what is ${lifetime} as it says`, async t => {
      let made = 0
      let disposed = 0
      class Connection { readonly number = ++made }
      class UsesConnection {
        readonly #connection: Connection
        constructor ({ connection }: { connection: Connection }) { this.#connection = connection }
        async * handle (_input: number, { scope, emit }: HandlerContext): AsyncGenerator<number, unknown, void> {
          yield this.#connection.number
          emit(Happened, 1)
          yield scope.resolve('connection').number
          return disposed
        }
      }
      class Audit {
        constructor ({ connection }: { connection: Connection }) { t.ok(connection.number) }
        handle (): void {}
      }
      const container = createContainer({ strict: true }).register({
        connection: asClass(Connection, { lifetime, ...(lifetime !== 'TRANSIENT' && { dispose: () => { disposed++ } }) })
      })
      const { mediator } = createMediator(t, { scope: () => container.createScope() })
      mediator.addHandler(Work, UsesConnection)
      mediator.addEventHandler(Happened, Audit)
      t.equal(await mediator.send(Work, 1), 0, 'not while the stream runs')
      await mediator.send(Work, 1)
      await mediator.close()
      t.strictSame([made, disposed], [madeInTwoStreams, disposedByThem])
      await container.dispose()
      t.equal(disposed, lifetime === 'SINGLETON' ? 1 : disposedByThem)
    })
  }
})

t.test('a class of an event handler', async t => {
  t.test('is made once for each event, and handles it with its own `this`', async t => {
    const { mediator } = createMediator(t)
    let made = 0
    const handled: unknown[] = []
    class Audit {
      readonly number = ++made
      async handle ({ name, payload }: EmittedEvent<typeof Happened>, { emit }: EventContext): Promise<void> {
        handled.push([this.number, name, payload])
        emit(FollowedUp, payload)
      }
    }
    mediator.addEventHandler(Happened, Audit)
    mediator.addEventHandler(FollowedUp, ({ payload }) => { handled.push(payload) })
    mediator.addHandler(Work, async function * (_input, { emit }) {
      emit(Happened, 'a')
      emit(Happened, 'b')
      return null
    })
    await mediator.send(Work, 1)
    t.strictSame(handled, [[1, 'happened', 'a'], [2, 'happened', 'b'], 'a', 'b'])
  })

  t.test('is resolved by its name, and called so in the log', async t => {
    const { mediator } = createMediator(t, { scope: () => ({ resolve: name => ({ handle: () => { t.equal(name, 'audit') } }) }) })
    mediator.addEventHandler(Happened, 'audit')
    await mediator.publish(Happened, 1)
    t.equal(handlerName('audit'), 'audit')
    t.equal(handlerName(Symbol('audit')), 'Symbol(audit)')
    t.equal(handlerName(Adder), 'Adder')
    t.equal(handlerName(() => {}), 'anonymous')
  })

  t.test('that cannot be resolved has failed, with its policy', async t => {
    const { mediator, logs } = createMediator(t)
    mediator.addEventHandler(Happened, 'audit', { onError: 'log' })
    await mediator.publish(Happened, 1)
    t.match(logs, [{ msg: 'event handler failed', err: { code: 'MEDIATOR_ERR_INVALID_HANDLER' } }])
    mediator.addEventHandler(Happened, 'audit')
    t.match(await rejection(mediator.publish(Happened, 1)), { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause: { code: 'MEDIATOR_ERR_INVALID_HANDLER' } })
  })
})

/** The shape of python-cqrs. */
class Collecting {
  #events: EventItem[] = []
  get events (): readonly EventItem[] { return this.#events }
  clearEvents (): void { this.#events = [] }
  collect (payload: unknown): void { this.#events.push(Happened.create(payload)) }
}

t.test('a class that collects events', async t => {
  t.test('has them emitted after each step, also the last', async t => {
    for (const eventDelivery of ['overlap', 'before-progress'] as const) {
      const { mediator } = createMediator(t, { eventDelivery, maxConcurrentEventHandlers: 1 })
      class Process extends Collecting {
        async * handle (to: number, { emit }: HandlerContext): AsyncGenerator<number | undefined, string, void> {
          for (let n = 1; n <= to; n++) {
            this.collect(n)
            this.collect(`${n} again`)
            yield n
          }
          this.collect('no progress')
          yield undefined
          emit(Happened, 'emitted')
          this.collect('at the end')
          return 'done'
        }
      }
      const seen: unknown[] = []
      mediator.addHandler(Work, Process)
      mediator.addEventHandler(Happened, ({ payload }) => { seen.push(payload) })
      const stream = mediator.stream(Work, 2)
      for await (const n of stream) {
        await turn()
        seen.push(`progress ${n}`)
      }
      seen.push(await stream.result)
      t.strictSame(seen, [1, '1 again', 'progress 1', 2, '2 again', 'progress 2', 'no progress', 'emitted', 'at the end', 'done'], eventDelivery)
    }
  })

  const shapes: Array<[string, new () => Collecting & { handle (input: number, context: HandlerContext): any }]> = [
    ['a generator', class extends Collecting {
      * handle (): Generator<number, string, void> {
        this.collect(1)
        yield 1
        this.collect(2)
        return 'done'
      }
    }],
    ['a promise of a generator', class extends Collecting {
      async handle (): Promise<AsyncGenerator<number, string, void>> {
        this.collect(1)
        await turn()
        const collect = (payload: unknown): void => this.collect(payload)
        return (async function * () {
          yield 1
          collect(2)
          return 'done'
        })()
      }
    }],
    ['a promise', class extends Collecting {
      async handle (): Promise<string> {
        this.collect(1)
        await turn()
        this.collect(2)
        return 'done'
      }
    }],
    ['a value', class extends Collecting {
      handle (): string {
        this.collect(1)
        this.collect(2)
        return 'done'
      }
    }],
    ['an iterator of truthy ends', class extends Collecting {
      handle (): AsyncIterable<number, string> {
        this.collect(1)
        const next = async (): Promise<never> => {
          this.collect(2)
          return { done: 1, value: 'done' } as never
        }
        return { [Symbol.asyncIterator]: () => ({ next }) }
      }
    }]
  ]
  for (const [what, Class] of shapes) {
    t.test(`may return ${what}`, async t => {
      const { mediator } = createMediator(t)
      const seen: unknown[] = []
      mediator.addHandler(Work, Class)
      mediator.addEventHandler(Happened, ({ payload }) => { seen.push(payload) })
      t.equal(await mediator.send(Work, 1), 'done')
      t.strictSame(seen, [1, 2])
    })
  }

  const failures: Array<[string, new () => Collecting & { handle (input: number, context: HandlerContext): any }]> = [
    ['in a step', class extends Collecting {
      async * handle (): AsyncGenerator<number, null, void> {
        this.collect(1)
        throw new Error('no')
      }
    }],
    ['at once', class extends Collecting {
      handle (): never {
        this.collect(1)
        throw new Error('no')
      }
    }],
    ['later', class extends Collecting {
      async handle (): Promise<never> {
        this.collect(1)
        await turn()
        throw new Error('no')
      }
    }],
    ['with what it returns', class extends Collecting {
      async handle (): Promise<object> {
        this.collect(1)
        return { [Symbol.asyncIterator]: () => { throw new Error('no') } }
      }
    }]
  ]
  for (const [when, Class] of failures) {
    t.test(`has them emitted when it throws ${when}, and can be used again`, async t => {
      const instance = new Class()
      const { mediator } = createMediator(t, { scope: () => ({ resolve: () => instance }) })
      const seen: unknown[] = []
      mediator.addHandler(Work, Class)
      mediator.addEventHandler(Happened, ({ payload }) => { seen.push(payload) })
      t.match(await rejection(mediator.send(Work, 1)), { message: 'no' })
      t.strictSame(seen, [1])
      t.match(await rejection(mediator.send(Work, 1)), { message: 'no' })
      t.strictSame(seen, [1, 1])
    })
  }

  t.test('has those of its finally emitted when it is aborted, also when it yields there', async t => {
    const { mediator, logs } = createMediator(t)
    const seen: unknown[] = []
    mediator.addHandler(Work, class extends Collecting {
      async * handle (_input: number, { signal }: HandlerContext): AsyncGenerator<number, null, void> {
        try {
          try {
            this.collect('step')
            yield 1
            await once(signal, 'abort')
            return null
          } finally {
            this.collect('inner')
            yield 2
          }
        } finally {
          this.collect('outer')
        }
      }
    })
    mediator.addEventHandler(Happened, ({ payload }) => { seen.push(payload) })
    const left = mediator.stream(Work, 1)
    await leave(left)
    await rejection(left.result)
    t.strictSame(seen.splice(0), ['step', 'inner', 'outer'])
    const blocked = mediator.stream(Work, 1)
    const iterator = blocked[Symbol.asyncIterator]()
    await iterator.next()
    const next = iterator.next()
    await turn()
    blocked.abort()
    await rejection(next)
    await rejection(blocked.result)
    t.strictSame(seen, ['step', 'inner', 'outer'])
    t.strictSame(logs, [])
  })

  t.test('that yields for ever in its finally is let go', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Work, class extends Collecting {
      async * handle (): AsyncGenerator<number, null, void> {
        try {
          yield 1
        } finally {
          for (let n = 1; n > 0; n++) yield n
        }
        return null
      }
    })
    const stream = mediator.stream(Work, 1)
    await within(3_000, leave(stream))
    t.match(await rejection(stream.result), { reason: 'cancelled' })
  })

  t.test('ends its generator when an item that it has collected is no event', async t => {
    const { mediator } = createMediator(t)
    let ended = false
    mediator.addHandler(Work, class {
      events: EventItem[] = []
      clearEvents (): void { this.events = [] }
      async * handle (): AsyncGenerator<number, null, void> {
        try {
          this.events.push({ definition: Work as never, payload: 1 })
          yield 1
          return null
        } finally {
          ended = true
        }
      }
    })
    t.match(await rejection(mediator.send(Work, 1)), { code: 'MEDIATOR_ERR_INVALID_DEFINITION' })
    t.equal(ended, true)
  })

  t.test('that resolves to a Readable when its stream was aborted has it destroyed', async t => {
    const { mediator } = createMediator(t)
    const gate = deferred()
    const readable = Readable.from(['a'])
    mediator.addHandler(Add, class extends Collecting {
      async handle (): Promise<Readable> {
        await gate.promise
        return readable
      }
    })
    const stream = mediator.stream(Add, { a: 1, b: 1 })
    const result = rejection(stream.result)
    await turn()
    stream.abort()
    gate.resolve()
    await result
    t.equal(readable.destroyed, true)
  })

  t.test('that returns an iterator without return is ended all the same', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Work, class extends Collecting {
      handle (): AsyncIterable<number, unknown, void> {
        let n = 0
        return { [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: ++n }) }) }
      }
    })
    const stream = mediator.stream(Work, 1)
    await within(1_000, leave(stream))
    t.match(await rejection(stream.result), { reason: 'cancelled' })
  })

  t.test('is no class that has events of its own and no clearEvents', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Work, class {
      readonly events = 'of another kind'
      async * handle (): AsyncGenerator<number, string, void> { return this.events }
    })
    t.equal(await mediator.send(Work, 1), 'of another kind')
  })
})

t.test('a singleton that collects events', async t => {
  class Shared extends Collecting {
    gate = deferred()
    async * handle (id: number, { signal }: HandlerContext): AsyncGenerator<number, unknown, void> {
      this.collect(`${id}: first`)
      yield id
      await Promise.race([this.gate.promise, once(signal, 'abort')])
      this.collect(`${id}: second`)
      return id
    }
  }
  const setUp = (t: Parameters<typeof createMediator>[0]) => {
    const instance = new Shared()
    const seen: unknown[] = []
    const { mediator, logs } = createMediator(t, { scope: () => ({ resolve: () => instance }) })
    mediator.addHandler(Work, Shared)
    mediator.addEventHandler(Happened, ({ payload }) => { seen.push(payload) })
    return { instance, seen, mediator, logs }
  }
  const shared = { code: 'MEDIATOR_ERR_SHARED_HANDLER', statusCode: 500, message: /"work"/ }

  t.test('is refused to a second stream, and the first goes on unmixed', async t => {
    const { instance, seen, mediator } = setUp(t)
    const first = mediator.stream(Work, 1)
    const iterator = first[Symbol.asyncIterator]()
    await iterator.next()
    t.match(await rejection(mediator.send(Work, 2)), shared)
    t.match(await rejection(mediator.send(Work, 3)), shared, 'being refused does not set it free')
    instance.gate.resolve()
    t.same(await iterator.next(), { done: true })
    t.equal(await first.result, 1)
    t.strictSame(seen, ['1: first', '1: second'])
    t.equal(await mediator.send(Work, 4), 4, 'can be used again')
    t.strictSame(seen, ['1: first', '1: second', '4: first', '4: second'])
  })

  t.test('is refused to another mediator as well', async t => {
    const { instance, mediator } = setUp(t)
    const other = createMediator(t, { scope: () => ({ resolve: () => instance }) }).mediator
    other.addHandler(Work, Shared)
    const iterator = mediator.stream(Work, 1)[Symbol.asyncIterator]()
    await iterator.next()
    t.match(await rejection(other.send(Work, 2)), shared)
    await iterator.return!()
    instance.gate.resolve()
    t.equal(await other.send(Work, 3), 3)
  })

  t.test('can be used again when its stream was left, aborted while it was blocked, or never read', async t => {
    const { instance, mediator, seen } = setUp(t)
    await leave(mediator.stream(Work, 1))
    const blocked = mediator.stream(Work, 2)
    const iterator = blocked[Symbol.asyncIterator]()
    await iterator.next()
    const next = iterator.next()
    await turn()
    blocked.abort()
    await rejection(next)
    await rejection(blocked.result)
    mediator.stream(Work, 3)
    const never = mediator.stream(Work, 4)
    never.abort()
    await rejection(never.result)
    instance.gate.resolve()
    t.equal(await mediator.send(Work, 5), 5)
    t.strictSame(seen, ['1: first', '2: first', '2: second', '5: first', '5: second'])
  })

  t.test('is free after a stream that was aborted in its first step', async t => {
    const { instance, mediator } = setUp(t)
    const stream = mediator.stream(Work, 1)
    const result = rejection(stream.result)
    await Promise.resolve()
    stream.abort()
    t.match(await result, { reason: 'cancelled' })
    instance.gate.resolve()
    t.equal(await mediator.send(Work, 2), 2)
  })

  t.test('that ignores its signal stays refused until it has really ended', async t => {
    const instance = new (class extends Collecting {
      readonly gate = deferred()
      readonly ended = deferred()
      async * handle (id: number): AsyncGenerator<number, unknown, void> {
        try {
          yield id
          if (id === 1) await this.gate.promise
          return id
        } finally {
          this.collect(id)
          setImmediate(this.ended.resolve)
        }
      }
    })()
    const { mediator, logs } = createMediator(t, { scope: () => ({ resolve: () => instance }) })
    const seen: unknown[] = []
    mediator.addHandler(Work, 'shared')
    mediator.addEventHandler(Happened, ({ payload }) => { seen.push(payload) })
    const stream = mediator.stream(Work, 1)
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    const next = iterator.next()
    stream.abort()
    await rejection(next)
    await rejection(stream.result)
    t.match(logs, [{ msg: /goes on although its stream has ended/ }])
    t.match(await rejection(mediator.send(Work, 2)), shared)
    instance.gate.resolve()
    await instance.ended.promise
    await turn()
    t.strictSame(seen, [1], 'what it collected late is a fact, too')
    t.equal(await mediator.send(Work, 3), 3)
    t.strictSame(seen, [1, 3])
  })

  t.test('is refused when it calls itself', async t => {
    const instance = new (class extends Collecting {
      async * handle (depth: number, { mediator }: HandlerContext): AsyncGenerator<number, unknown, void> {
        yield depth
        return await mediator.send(Work, depth + 1)
      }
    })()
    const { mediator } = createMediator(t, { scope: () => ({ resolve: () => instance }) })
    mediator.addHandler(Work, 'shared')
    t.match(await rejection(mediator.send(Work, 1)), shared)
  })
})

t.test('a class of an event handler that collects events', async t => {
  class FollowUp extends Collecting {
    async handle ({ payload }: EmittedEvent<typeof FollowedUp>, { signal }: EventContext): Promise<void> {
      this.collect(`${payload}: first`)
      await turn()
      signal.throwIfAborted()
      this.collect(`${payload}: second`)
      if (payload === 'bad') throw new Error('no')
    }
  }

  t.test('emits follow-ups, which belong to its stream', async t => {
    for (const options of [{}, { timeoutMs: 5_000 }]) {
      const { mediator } = createMediator(t)
      const seen: unknown[] = []
      mediator.addHandler(Work, async function * (_input, { emit }) {
        emit(FollowedUp, 'a')
        emit(FollowedUp, 'b')
        return null
      })
      mediator.addEventHandler(FollowedUp, FollowUp, options)
      mediator.addEventHandler(Happened, async ({ payload }) => {
        await turn()
        seen.push(payload)
      })
      await mediator.send(Work, 1)
      t.strictSame(seen, ['a: first', 'a: second', 'b: first', 'b: second'])
    }
  })

  t.test('emits what it has collected when it throws', async t => {
    const { mediator } = createMediator(t)
    const seen: unknown[] = []
    mediator.addEventHandler(FollowedUp, FollowUp, { onError: 'log' })
    mediator.addEventHandler(Happened, ({ payload }) => { seen.push(payload) })
    await mediator.publish(FollowedUp, 'bad')
    t.strictSame(seen, ['bad: first', 'bad: second'])
  })

  t.test('is refused as a singleton for two events at once, and can be used one after the other', async t => {
    for (const [maxConcurrentEventHandlers, refused] of [[2, 1], [1, 0]] as const) {
      const instance = new FollowUp()
      const { mediator, logs } = createMediator(t, { maxConcurrentEventHandlers, scope: () => ({ resolve: () => instance }) })
      const seen: unknown[] = []
      mediator.addEventHandler(FollowedUp, 'follow-up', { onError: 'log' })
      mediator.addEventHandler(Happened, ({ payload }) => { seen.push(payload) })
      await Promise.all([mediator.publish(FollowedUp, 'a'), mediator.publish(FollowedUp, 'b')])
      t.strictSame(seen, ['a: first', 'a: second', 'b: first', 'b: second'].slice(0, refused === 1 ? 2 : 4))
      t.match(logs, Array(refused).fill({ err: { code: 'MEDIATOR_ERR_SHARED_HANDLER' } }))
      t.equal(logs.length, refused)
      await mediator.publish(FollowedUp, 'c')
      t.strictSame(seen.slice(-2), ['c: first', 'c: second'])
    }
  })
})

t.test('no rejection is left unhandled', async t => {
  await turn()
  t.strictSame(unhandled, [])
})
