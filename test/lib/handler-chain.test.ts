import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { ChainHandler } from '../../lib/handler.js'
import { defineCommand } from '../../lib/definition.js'
import { defineEvent } from '../../lib/event.js'
import { collect, createMediator, deferred, leave, rejection } from './support.js'

const Convert = defineCommand({ name: 'convert', input: Type.String(), progress: Type.String(), result: Type.String() })
const Find = defineCommand({ name: 'find', input: Type.String(), result: Type.String() })
const Happened = defineEvent({ name: 'happened', payload: Type.String() })

const finding = (name: string, own: string): ChainHandler<typeof Find> => async (input, { next }) => input === own ? `${input} by ${name}` : await next()
const converting = (name: string, own: string): ChainHandler<typeof Convert> => async function * (input, { next }) {
  if (input !== own) return yield * next()
  yield `${input} begins`
  return `${input} by ${name}`
}

t.test('each handler of a regular command handles the input or hands it on', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Find, [finding('one', 'a'), finding('two', 'b'), input => `${input} by the last`])
  t.strictSame(await Promise.all(['a', 'b', 'c'].map(input => mediator.send(Find, input))), ['a by one', 'b by two', 'c by the last'])
})

t.test('each handler of a streaming command handles the input or hands it on', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Convert, [converting('one', 'a'), converting('two', 'b')])
  for (const [input, name] of [['a', 'one'], ['b', 'two']] as const) {
    const stream = mediator.stream(Convert, input)
    t.strictSame(await collect(stream), [`${input} begins`])
    t.equal(await stream.result, `${input} by ${name}`)
  }
})

t.test('next takes a changed input, and what comes back may be changed', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Find, [async (input, { next }) => `(${await next(`${input}!`)})`, async (_input, { next }) => await next(), input => input])
  t.equal(await mediator.send(Find, 'a'), '(a!)')
  mediator.addHandler(Convert, [
    async function * (input, { next }) {
      for await (const progress of next(`${input}!`)) yield `(${progress})`
      return 'changed'
    },
    async function * (_input, { next }) { return yield * next() },
    async function * (input) {
      yield input
      return input
    }
  ])
  const stream = mediator.stream(Convert, 'a')
  t.strictSame(await collect(stream), ['(a!)'])
  t.equal(await stream.result, 'changed')
})

t.test('next of the last handler fails, where that does not handle its failure', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Find, [finding('one', 'a'), finding('two', 'b')])
  mediator.addHandler(Convert, [converting('one', 'a'), converting('two', 'b')])
  t.match(await rejection(mediator.send(Find, 'c')), { code: 'MEDIATOR_ERR_CHAIN_END', message: /"find"/ })
  t.match(await rejection(mediator.send(Convert, 'c')), { code: 'MEDIATOR_ERR_CHAIN_END', message: /"convert"/ })

  const { mediator: other } = createMediator(t)
  other.addHandler(Find, [async (_input, { next }) => await next().catch(() => 'nobody')])
  t.equal(await other.send(Find, 'c'), 'nobody')
})

t.test('a failure goes through the handlers before', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Convert, [
    async function * (_input, { next }) {
      try {
        return yield * next()
      } catch (error) {
        return `caught ${(error as Error).message}`
      }
    },
    async function * () {
      yield 'one'
      throw new Error('broken')
    }
  ])
  t.equal(await mediator.send(Convert, 'a'), 'caught broken')
})

t.test('handlers and classes, names in the scope and functions make one chain', async t => {
  class Cache {
    async handle (input: string, { next }: { next: (input?: string) => Promise<string> }): Promise<string> {
      return input === 'known' ? 'from the cache' : await next()
    }
  }
  const database = { handle: (input: string, { next }: { next: () => Promise<string> }) => input === 'stored' ? 'from the database' : next() }
  const { mediator } = createMediator(t, {
    scope: () => ({ resolve: (target: unknown) => target === 'database' ? database : new Cache() })
  })
  mediator.addHandler(Find, [Cache, 'database', () => 'made'])
  t.strictSame(await Promise.all(['known', 'stored', 'other'].map(input => mediator.send(Find, input))), ['from the cache', 'from the database', 'made'])
})

t.test('a class that collects its events makes them where it stands in a chain', async t => {
  const handled: string[] = []
  class Collecting {
    events: Array<ReturnType<typeof Happened.create>> = []
    clearEvents (): void { this.events = [] }
    async * handle (input: string, { next }: { next: () => AsyncGenerator<string, string, void> }): AsyncGenerator<string, string, void> {
      this.events.push(Happened.create('before'))
      const result = yield * next()
      this.events.push(Happened.create('after'))
      return `${result} of ${input}`
    }
  }
  const { mediator } = createMediator(t)
  mediator.addEventHandler(Happened, ({ payload }) => { handled.push(payload) })
  mediator.addHandler(Convert, [Collecting, Collecting, async function * (_input, { emit }) {
    emit(Happened, 'inside')
    yield 'one'
    return 'result'
  }])
  t.equal(await mediator.send(Convert, 'a'), 'result of a of a')
  t.strictSame(handled.sort(), ['after', 'after', 'before', 'before', 'inside'])
})

t.test('a handler that leaves what it was given ends it', async t => {
  const ended: string[] = []
  const { mediator } = createMediator(t)
  mediator.addHandler(Convert, [
    async function * (_input, { next }) {
      yield (await next().next()).value as string
      return 'short'
    },
    async function * (input) {
      try {
        yield input
        return 'not reached'
      } finally {
        ended.push('finally')
      }
    }
  ])
  t.equal(await mediator.send(Convert, 'a'), 'short')
  t.strictSame(ended, ['finally'])
})

t.test('next runs the rest again each time it is called', async t => {
  const { mediator } = createMediator(t)
  let attempts = 0
  mediator.addHandler(Find, [
    async (_input, { next }) => await next().catch(() => next()),
    () => {
      if (++attempts === 1) throw new Error('busy')
      return `attempt ${attempts}`
    }
  ])
  t.equal(await mediator.send(Find, 'a'), 'attempt 2')
})

t.test('leaving the loop runs the finally blocks from the inside out', async t => {
  const ended: string[] = []
  const link = (name: string): ChainHandler<typeof Convert> => async function * (input, { next }) {
    try {
      if (name === 'last') yield input
      return yield * next()
    } finally {
      ended.push(name)
    }
  }
  const { mediator } = createMediator(t)
  mediator.addHandler(Convert, [link('first'), link('second'), link('last')])
  await leave(mediator.stream(Convert, 'a'))
  t.strictSame(ended, ['last', 'second', 'first'])
})

t.test('an abort while a handler waits starts no further one', async t => {
  for (const definition of [Find, Convert]) {
    const { mediator } = createMediator(t)
    const entered = deferred()
    const gate = deferred()
    let started = 0
    const last = (): never => {
      started++
      throw new Error('not reached')
    }
    if (definition === Find) {
      mediator.addHandler(Find, [async (_input, { next }) => {
        entered.resolve()
        await gate.promise
        return await next()
      }, last])
    } else {
      mediator.addHandler(Convert, [async function * (_input, { next }) {
        entered.resolve()
        await gate.promise
        return yield * next()
      }, last])
    }
    const stream = mediator.stream(definition, 'a')
    const result = rejection(stream.result)
    await entered.promise
    stream.abort()
    gate.resolve()
    t.match(await result, { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
    t.equal(started, 0, definition.name)
  }
})

t.test('an empty chain is refused, and so is one with something that is no handler', async t => {
  const { mediator } = createMediator(t)
  t.throws(() => mediator.addHandler(Find, []), { code: 'MEDIATOR_ERR_INVALID_HANDLER', message: /an empty chain/ })
  t.throws(() => mediator.addHandler(Find, [() => 'a', 5 as unknown as string]), { code: 'MEDIATOR_ERR_INVALID_HANDLER', message: /number/ })
})
