import { once } from 'node:events'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import t from 'tap'
import { defineCommand } from '../../lib/definition.js'
import { defineEvent } from '../../lib/event.js'
import type { HandlerContext } from '../../lib/handler.js'
import type { MediatorCalls } from '../../lib/mediator-calls.js'
import type { MediatorStream } from '../../lib/mediator-stream.js'
import { StreamScope } from '../../lib/scope.js'
import type { Scope } from '../../lib/scope.js'
import { StreamingMediator } from '../../lib/streaming-mediator.js'
import { createLog } from '../support/app.js'
import { collect, createMediator, deferred, leave, rejection, within } from './support.js'

const Work = defineCommand({ name: 'work', input: Type.Integer(), progress: Type.Integer(), result: Type.Any() })
const Nested = defineCommand({ name: 'nested', input: Type.Any(), result: Type.Any() })
const Happened = defineEvent({ name: 'happened', payload: Type.Any() })
const FollowedUp = defineEvent({ name: 'followed.up', payload: Type.Any() })

const turn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

interface CountedScope extends Scope {
  readonly number: number
  disposed: number
}

/** Makes scopes and remembers them. */
function createScopes (): { scopes: CountedScope[], scope: () => Scope } {
  const scopes: CountedScope[] = []
  return {
    scopes,
    scope: () => {
      const scope: CountedScope = { number: scopes.length + 1, disposed: 0, resolve: name => `${name} of ${scope.number}`, dispose: () => { scope.disposed++ } }
      scopes.push(scope)
      return scope
    }
  }
}

const disposals = (scopes: readonly CountedScope[]): number[] => scopes.map(({ disposed }) => disposed)

t.test('is made when it is first asked for, once a stream', async t => {
  const { scopes, scope } = createScopes()
  const { mediator } = createMediator(t, { scope })
  mediator.addHandler(Work, async function * (ask, context) {
    t.equal(scopes.length, 0)
    yield 1
    if (ask === 1) t.equal(context.scope, context.scope)
    return null
  })
  await mediator.send(Work, 0)
  t.equal(scopes.length, 0, 'not for a handler that does not ask')
  await mediator.send(Work, 1)
  t.strictSame(disposals(scopes), [1])
})

t.test('needs nobody who is told of its end', async t => {
  const { scopes, scope } = createScopes()
  const { logs, logger: { level, stream } } = createLog()
  const streamScope = new StreamScope(scope)
  t.throws(() => streamScope.scope, { code: 'MEDIATOR_ERR_SCOPE_ENDED' })
  streamScope.enter()
  streamScope.enter()
  t.equal(streamScope.scope.resolve('db'), 'db of 1')
  streamScope.leave(() => pino({ level }, stream))
  t.strictSame(disposals(scopes), [0])
  streamScope.leave(() => pino({ level }, stream))
  t.strictSame(disposals(scopes), [1])
  t.throws(() => streamScope.scope, { code: 'MEDIATOR_ERR_SCOPE_ENDED' })
  t.strictSame(logs, [])
})

t.test('is never made for a stream that was never started', async t => {
  const { scopes, scope } = createScopes()
  const { mediator } = createMediator(t, { scope })
  mediator.addHandler(Work, async function * (_input, context) { return context.scope.resolve('db') })
  mediator.stream(Work, 1)
  const aborted = mediator.stream(Work, 1)
  aborted.abort()
  await rejection(aborted.result)
  await rejection(mediator.send(Work, 1, { signal: AbortSignal.abort() }))
  await mediator.close()
  await rejection(mediator.send(Work, 1))
  await turn()
  t.strictSame(scopes, [])
})

t.test('is shared by the stream, its nested calls and its event handlers, and disposed when the last of these has settled', async t => {
  const { scopes, scope } = createScopes()
  const { mediator } = createMediator(t, { scope })
  const gates = { event: deferred(), followUp: deferred() }
  const seen: unknown[] = []
  const look = (who: string, { scope }: { scope: Scope }): void => { seen.push(`${who}: ${scope.resolve('db')}`) }
  mediator.addHandler(Work, async function * (_input, context) {
    look('handler', context)
    context.emit(Happened, 1)
    yield 1
    await context.mediator.send(Nested, 1)
    await context.mediator.publish(FollowedUp, 'published')
    return 'done'
  })
  mediator.addHandler(Nested, (_input, context) => look('nested', context))
  mediator.addEventHandler(Happened, async (_event, context) => {
    look('event handler', context)
    await gates.event.promise
    context.emit(FollowedUp, 'emitted')
  })
  mediator.addEventHandler(FollowedUp, async ({ payload }, context) => {
    look(`${payload} follow-up`, context)
    if (payload === 'emitted') await gates.followUp.promise
    await context.mediator.send(Nested, 1)
  })
  const stream = mediator.stream(Work, 1)
  let complete = false
  const result = stream.result.then(() => { complete = true })
  while (!seen.includes('published follow-up: db of 1')) await turn()
  await turn()
  t.strictSame(disposals(scopes), [0], 'an event handler runs')
  gates.event.resolve()
  while (!seen.includes('emitted follow-up: db of 1')) await turn()
  t.strictSame(disposals(scopes), [0], 'a follow-up runs')
  t.equal(complete, false)
  gates.followUp.resolve()
  await within(1_000, result)
  t.strictSame(disposals(scopes), [1])
  t.strictSame(seen.toSorted(), [
    'emitted follow-up: db of 1', 'event handler: db of 1', 'handler: db of 1', 'nested: db of 1', 'nested: db of 1', 'nested: db of 1',
    'published follow-up: db of 1'
  ])
})

t.test('lives as long as a nested call that nobody waits for', async t => {
  const { scopes, scope } = createScopes()
  const { mediator } = createMediator(t, { scope })
  const gate = deferred()
  let nested: Promise<unknown> | undefined
  mediator.addHandler(Work, async function * (_input, context) {
    void context.scope
    nested = context.mediator.send(Nested, 1)
    return null
  })
  mediator.addHandler(Nested, async (_input, context) => {
    await gate.promise
    return context.scope.resolve('db')
  })
  await mediator.send(Work, 1)
  t.strictSame(disposals(scopes), [0])
  gate.resolve()
  t.equal(await nested, 'db of 1')
  t.strictSame(disposals(scopes), [1])
})

t.test('of a call that starts after the stream of its maker has settled is another one', async t => {
  const { scopes, scope } = createScopes()
  const { mediator } = createMediator(t, { scope })
  let kept: MediatorCalls | undefined
  mediator.addHandler(Work, async function * (_input, context) {
    kept = context.mediator
    return context.scope.resolve('db')
  })
  mediator.addHandler(Nested, (_input, { scope }) => scope.resolve('db'))
  t.equal(await mediator.send(Work, 1), 'db of 1')
  t.equal(await kept!.send(Nested, 1), 'db of 2')
  t.strictSame(disposals(scopes), [1, 1])
})

t.test('is another one for each stream and publish of the app', async t => {
  const { scopes, scope } = createScopes()
  const { mediator } = createMediator(t, { scope })
  mediator.addHandler(Nested, (_input, { scope }) => scope.resolve('db'))
  const seen: unknown[] = []
  mediator.addEventHandler(Happened, (_event, { scope }) => { seen.push(scope.resolve('db')) })
  mediator.addEventHandler(Happened, (_event, { scope }) => { seen.push(scope.resolve('mail')) })
  t.strictSame(await Promise.all([mediator.send(Nested, 1), mediator.send(Nested, 1)]), ['db of 1', 'db of 2'])
  await mediator.publish(Happened, 1)
  t.strictSame(seen, ['db of 3', 'mail of 3'])
  t.strictSame(disposals(scopes), [1, 1, 1])
})

t.test('of a call is the one that the call was given', async t => {
  const { scopes, scope } = createScopes()
  const own = createScopes()
  const { mediator } = createMediator(t, { scope })
  mediator.addHandler(Work, async function * (_input, context) {
    const given = await context.mediator.send(Nested, 1, { scope: own.scope })
    t.strictSame(disposals(own.scopes), [1], 'ends with its call')
    return [given, context.scope.resolve('db')]
  })
  mediator.addHandler(Nested, (_input, { scope }) => scope.resolve('own db'))
  t.strictSame(await mediator.send(Work, 1), ['own db of 1', 'db of 1'])
  t.equal(await mediator.send(Nested, 1, { scope: own.scope }), 'own db of 2')
  t.strictSame([disposals(scopes), disposals(own.scopes)], [[1], [1, 1]])
})

interface Ending {
  handle (context: HandlerContext): AsyncGenerator<number, unknown, void>
  read (stream: MediatorStream<typeof Work>): Promise<unknown>
}
const endings: Record<string, Ending> = {
  'completes without being iterated': {
    async * handle ({ scope }) { return scope.resolve('db') },
    read: async stream => await stream.result
  },
  fails: {
    async * handle ({ scope }) { throw new Error(scope.resolve('no')) },
    read: async stream => await rejection(stream.result)
  },
  'is left': {
    async * handle ({ scope }) {
      scope.resolve('db')
      yield 1
    },
    read: leave
  },
  'is aborted': {
    async * handle ({ scope, signal }) {
      scope.resolve('db')
      yield 1
      try {
        await once(signal, 'abort')
      } finally {
        scope.resolve('still there')
      }
    },
    read: async stream => {
      const iterator = stream[Symbol.asyncIterator]()
      await iterator.next()
      const next = iterator.next()
      stream.abort()
      await rejection(next)
    }
  },
  'fails by its event': {
    async * handle ({ scope, emit }) {
      emit(Happened, scope.resolve('db'))
      yield 1
      yield 2
    },
    read: async stream => await rejection(collect(stream))
  }
}
for (const [how, { handle, read }] of Object.entries(endings)) {
  t.test(`is disposed once when a stream ${how}`, async t => {
    const { scopes, scope } = createScopes()
    const { mediator, logs } = createMediator(t, { scope })
    mediator.addHandler(Work, (_input, context) => handle(context))
    mediator.addEventHandler(Happened, () => { throw new Error('no') }, { onError: error => { throw error } })
    const stream = mediator.stream(Work, 1)
    await read(stream)
    await stream.result.catch(() => {})
    t.strictSame(disposals(scopes), [1])
    await turn()
    t.strictSame(disposals(scopes), [1])
    t.strictSame(logs.filter(({ msg }) => msg !== 'event handler failed'), [])
  })
}

t.test('is disposed when a publish fails', async t => {
  const { scopes, scope } = createScopes()
  const { mediator } = createMediator(t, { scope })
  mediator.addEventHandler(Happened, (_event, { scope }) => { throw new Error(scope.resolve('no')) })
  await rejection(mediator.publish(Happened, 1))
  t.strictSame(disposals(scopes), [1])
})

t.test('is kept for the events of a stream that was aborted', async t => {
  const { scopes, scope } = createScopes()
  const { mediator } = createMediator(t, { scope })
  const [started, gate] = [deferred(), deferred()]
  mediator.addHandler(Work, async function * (_input, { emit, scope }) {
    emit(Happened, scope.resolve('db'))
    yield 1
  })
  let late: unknown
  mediator.addEventHandler(Happened, async (_event, context) => {
    started.resolve()
    await gate.promise
    late = context.scope.resolve('late')
  })
  const stream = mediator.stream(Work, 1)
  await leave(stream)
  await started.promise
  t.strictSame(disposals(scopes), [0])
  gate.resolve()
  await rejection(stream.result)
  t.equal(late, 'late of 1')
  t.strictSame(disposals(scopes), [1])
})

t.test('cannot be asked for when the stream has settled', async t => {
  const { scope } = createScopes()
  const { mediator } = createMediator(t, { scope })
  const contexts: Array<{ scope: Scope }> = []
  mediator.addHandler(Work, async function * (_input, context) {
    contexts.push(context)
    context.emit(Happened, 1)
    return null
  })
  mediator.addEventHandler(Happened, (_event, context) => { contexts.push(context) })
  await mediator.send(Work, 1)
  t.equal(contexts.length, 2)
  for (const context of contexts) t.throws(() => context.scope, { code: 'MEDIATOR_ERR_SCOPE_ENDED', statusCode: 500 })
})

t.test('is another one for the events that a handler emits when it was let go', async t => {
  const { scopes, scope } = createScopes()
  const { mediator, logs } = createMediator(t, { scope })
  const [gate, handled] = [deferred(), deferred<unknown>()]
  mediator.addHandler(Work, async function * (_input, { emit, scope }) {
    scope.resolve('db')
    yield 1
    await gate.promise
    emit(Happened, 1)
    yield 2
  })
  mediator.addEventHandler(Happened, (_event, { scope }) => { handled.resolve(scope.resolve('db')) })
  const stream = mediator.stream(Work, 1)
  const iterator = stream[Symbol.asyncIterator]()
  await iterator.next()
  const next = iterator.next()
  stream.abort()
  await rejection(next)
  await rejection(stream.result)
  t.strictSame(disposals(scopes), [1])
  gate.resolve()
  t.equal(await within(1_000, handled.promise), 'db of 2')
  await turn()
  t.strictSame(disposals(scopes), [1, 1])
  t.match(logs, [{ msg: /goes on although its stream has ended/ }])
})

t.test('that cannot be disposed is logged, and nothing else fails', async t => {
  for (const dispose of [() => { throw new Error('stuck') }, async () => { throw new Error('stuck') }]) {
    const { mediator, logs } = createMediator(t, { scope: () => ({ resolve () {}, dispose }) })
    mediator.addHandler(Work, async function * (_input, { scope }) { return scope.resolve('db') ?? 'fine' })
    t.equal(await mediator.send(Work, 1), 'fine')
    await turn()
    t.match(logs, [{ level: 50, msg: 'scope was not disposed', err: { message: 'stuck' } }])
  }
})

t.test('need not be disposable', async t => {
  const { mediator, logs } = createMediator(t, { scope: () => ({ resolve: name => name }) })
  mediator.addHandler(Work, async function * (_input, { scope }) { return scope.resolve('db') })
  t.equal(await mediator.send(Work, 1), 'db')
  await turn()
  t.strictSame(logs, [])
})

t.test('is waited for by close', async t => {
  const gate = deferred()
  const { mediator } = createMediator(t, { closeGraceMs: 60_000, scope: () => ({ resolve () {}, dispose: () => gate.promise }) })
  mediator.addHandler(Work, async function * (_input, { scope }) { return scope.resolve('db') ?? 'fine' })
  t.equal(await mediator.send(Work, 1), 'fine', 'a result does not wait for it')
  let closed = false
  const closing = mediator.close().then(() => { closed = true })
  await turn()
  t.equal(closed, false)
  gate.resolve()
  await within(500, closing)
})

t.test('that is never disposed does not keep close waiting', async t => {
  const { mediator } = createMediator(t, { scope: () => ({ resolve () {}, dispose: () => new Promise(() => {}) }) })
  mediator.addHandler(Work, async function * (_input, { scope }) { return scope.resolve('db') ?? 'fine' })
  await mediator.send(Work, 1)
  await within(3_000, mediator.close())
})

t.test('that cannot be made fails its stream, and is tried again for the next', async t => {
  let made = 0
  const { mediator, logs } = createMediator(t, {
    scope: () => {
      if (++made === 1) throw new Error('no database')
      return { resolve: name => name }
    }
  })
  mediator.addHandler(Work, async function * (_input, { scope }) { return scope.resolve('db') })
  t.match(await rejection(mediator.send(Work, 1)), { message: 'no database' })
  t.equal(await mediator.send(Work, 1), 'db')
  t.strictSame(logs, [])
})

for (const made of [null, undefined, {}, Promise.resolve({ resolve () {} })]) {
  t.test(`is refused when it is ${String(made)}`, async t => {
    const { mediator, logs } = createMediator(t, { scope: () => made as unknown as Scope })
    mediator.addHandler(Work, async function * (_input, { scope }) { return scope.resolve('db') })
    t.match(await rejection(mediator.send(Work, 1)), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /must return a scope, which has a method resolve/ })
    t.strictSame(logs, [])
  })
}

t.test('is made by a function, not given as a container', async t => {
  const container = { resolve () {} } as unknown as () => Scope
  const expected = { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /scope must be a function/ }
  t.throws(() => new StreamingMediator({ scope: container }), expected)
  const { mediator } = createMediator(t)
  mediator.addHandler(Nested, () => 1)
  t.throws(() => mediator.stream(Nested, 1, { scope: container }), expected)
  t.match(await rejection(mediator.publish(Happened, 1, { scope: container })), expected)
})

t.test('without a container', async t => {
  t.test('makes classes without arguments', async t => {
    const { mediator } = createMediator(t)
    class Clock { readonly now = 5 }
    mediator.addHandler(Work, async function * (_input, { scope }) {
      const [one, other] = [scope.resolve(Clock), scope.resolve(Clock)]
      return [one.now, one === other]
    })
    t.strictSame(await mediator.send(Work, 1), [5, false])
  })

  t.test('refuses names and classes with arguments', async t => {
    const { mediator } = createMediator(t)
    class Mailer {
      constructor (readonly host: string) {}
    }
    const targets: Record<string, unknown> = { name: 'mailer', symbol: Symbol('mailer'), class: Mailer }
    mediator.addHandler(Nested, (target, { scope }) => scope.resolve(targets[target]))
    const expected = { code: 'MEDIATOR_ERR_INVALID_HANDLER', message: /pass the option scope/ }
    for (const target of Object.keys(targets)) t.match(await rejection(mediator.send(Nested, target)), expected)
  })
})

t.test('while the mediator closes', async t => {
  t.test('takes calls of command handlers and of what these call, until they have settled', async t => {
    const { scopes, scope } = createScopes()
    const { mediator } = createMediator(t, { closeGraceMs: 60_000, scope })
    const [started, closing] = [deferred(), deferred()]
    const contexts: HandlerContext[] = []
    const published: unknown[] = []
    mediator.addHandler(Work, async function * (_input, context) {
      contexts.push(context)
      started.resolve()
      await closing.promise
      await context.mediator.publish(Happened, context.scope.resolve('db'))
      return await context.mediator.send(Nested, 2)
    })
    mediator.addHandler(Nested, async (depth, context) => {
      contexts.push(context)
      return depth === 0 ? context.scope.resolve('db') : await context.mediator.send(Nested, depth - 1)
    })
    mediator.addEventHandler(Happened, ({ payload }) => { published.push(payload) })
    const result = mediator.send(Work, 1)
    await started.promise
    const closed = mediator.close()
    closing.resolve()
    t.equal(await within(1_000, result), 'db of 1')
    await within(1_000, closed)
    t.strictSame(published, ['db of 1'])
    t.strictSame(disposals(scopes), [1])
    t.equal(contexts.length, 4)
    const expected = { code: 'MEDIATOR_ERR_SHUTTING_DOWN', statusCode: 503 }
    for (const context of contexts) {
      t.match(await rejection(context.mediator.send(Nested, 0)), expected)
      t.match(await rejection(context.mediator.publish(Happened, 1)), expected)
      t.match(await rejection(collect(context.mediator.stream(Work, 1))), expected)
    }
    t.strictSame(disposals(scopes), [1])
  })

  t.test('refuses calls of a handler that is done, although another is at work', async t => {
    const { mediator } = createMediator(t, { closeGraceMs: 60_000 })
    let kept: MediatorCalls | undefined
    mediator.addHandler(Nested, (_input, context) => {
      kept = context.mediator
      return 1
    })
    const [started, gate] = [deferred(), deferred()]
    mediator.addHandler(Work, async function * () {
      started.resolve()
      await gate.promise
      return 'done'
    })
    await mediator.send(Nested, 1)
    const result = mediator.send(Work, 1)
    await started.promise
    const closed = mediator.close()
    t.match(await rejection(kept!.send(Nested, 1)), { code: 'MEDIATOR_ERR_SHUTTING_DOWN' })
    t.match(await rejection(mediator.send(Nested, 1)), { code: 'MEDIATOR_ERR_SHUTTING_DOWN' }, 'and those of the app')
    gate.resolve()
    t.equal(await within(1_000, result), 'done')
    await within(1_000, closed)
  })

  t.test('refuses calls of command handlers when the grace is over', async t => {
    const { mediator } = createMediator(t, { closeGraceMs: 10 })
    const started = deferred()
    const refused: Array<Promise<unknown>> = []
    mediator.addHandler(Nested, () => 1)
    mediator.addHandler(Work, async function * (_input, { mediator, signal }) {
      started.resolve()
      try {
        await once(signal, 'abort')
      } finally {
        await new Promise(resolve => { setImmediate(resolve) })
        refused.push(rejection(mediator.send(Nested, 1)), rejection(mediator.publish(Happened, 1)))
      }
    })
    const result = rejection(mediator.send(Work, 1))
    await started.promise
    await within(3_000, mediator.close())
    t.match(await result, { reason: 'shutdown' })
    t.match(await Promise.all(refused), [{ code: 'MEDIATOR_ERR_SHUTTING_DOWN' }, { code: 'MEDIATOR_ERR_SHUTTING_DOWN' }])
  })
})
