import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { MemoryMessageBroker, NullMessageBroker, StreamingMediator, commandRoute, streamingMediator } from '../../index.js'
import type { Mapper } from '../../index.js'
import { defineEvent } from '../../lib/event.js'
import { Add, Count, createApp, deferred } from '../support/app.js'
import { createMediator, rejection, within } from './support.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => { unhandled.push(error) })

const Noted = defineEvent({ name: 'noted', payload: Type.Any() })

t.test('register', async t => {
  t.test('calls a mapper at once, in the order of the calls, and hands it the mediator', async t => {
    const { mediator } = createMediator(t)
    const order: string[] = []
    mediator.register(given => {
      t.equal(given, mediator)
      order.push('first')
      given.addHandler(Add, ({ a, b }) => a + b)
    })
    mediator.register(() => { order.push('second') })
    t.strictSame(order, ['first', 'second'])
    t.equal(await mediator.send(Add, { a: 1, b: 2 }), 3, 'before ready as well')
    await mediator.ready()
  })

  t.test('throws at once what a synchronous mapper throws', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Add, () => 1)
    t.throws(() => mediator.register(given => { given.addHandler(Add, () => 2) }), { code: 'MEDIATOR_ERR_DUPLICATE_HANDLER' })
    t.throws(() => mediator.register(undefined as unknown as Mapper), TypeError)
    await mediator.ready()
  })

  t.test('resolves when an asynchronous mapper has, and ready waits for all of them', async t => {
    const { mediator } = createMediator(t)
    const gates = [deferred(), deferred()]
    const order: string[] = []
    const registered = gates.map((gate, index) => mediator.register(async () => {
      await gate.promise
      order.push(`mapper ${index}`)
    }))
    const ready = mediator.ready().then(() => { order.push('ready') })
    gates[1]!.resolve()
    await registered[1]
    await turn()
    t.strictSame(order, ['mapper 1'])
    gates[0]!.resolve()
    await within(1_000, ready)
    t.strictSame(order, ['mapper 1', 'mapper 0', 'ready'])
  })

  t.test('takes what a mapper returns that promises nothing', async t => {
    const { mediator } = createMediator(t)
    const given: unknown[] = []
    await mediator.register(mediator => given.push(mediator) as unknown as undefined)
    t.strictSame(given, [mediator])
    await mediator.ready()
  })

  t.test('fails ready with what an asynchronous mapper threw, and the process goes on until then', async t => {
    const { mediator, logs } = createMediator(t)
    void mediator.register(async () => { throw new Error('no such module') })
    await turn()
    await turn()
    t.strictSame(unhandled, [], 'nobody waits yet')
    t.match(logs, [{ level: 50, msg: 'mapper failed', err: { message: 'no such module' } }], 'and nobody may ever wait')
    t.match(await rejection(mediator.ready()), { message: 'no such module' })
  })

  t.test('waits for mappers that mappers and hooks register', async t => {
    const { mediator } = createMediator(t)
    const order: string[] = []
    void mediator.register(async () => {
      await turn()
      order.push('outer')
      void mediator.register(async () => {
        await turn()
        order.push('inner')
      })
    })
    mediator.onStartup(() => {
      order.push('hook')
      void mediator.register(async () => {
        await turn()
        order.push('registered by a hook')
      })
    })
    await within(1_000, mediator.ready())
    t.strictSame(order, ['outer', 'inner', 'hook', 'registered by a hook'])
  })

  t.test('fails ready with a mapper that a hook registered', async t => {
    const { mediator } = createMediator(t)
    mediator.onStartup(() => { void mediator.register(async () => { throw new Error('too late') }) })
    t.match(await rejection(mediator.ready()), { message: 'too late' })
  })
})

t.test('onStartup', async t => {
  t.test('runs hooks one after the other, in their order, after the mappers', async t => {
    const { mediator } = createMediator(t)
    const order: string[] = []
    mediator.onStartup(async given => {
      t.equal(given, mediator)
      order.push('first begins')
      await turn()
      order.push('first ends')
    })
    mediator.onStartup(() => { order.push('second') })
    void mediator.register(async () => {
      await turn()
      order.push('mapper')
    })
    t.strictSame(order, [], 'nothing runs before ready')
    await mediator.ready()
    t.strictSame(order, ['mapper', 'first begins', 'first ends', 'second'])
  })

  t.test('lets hooks use the mediator', async t => {
    const { mediator } = createMediator(t)
    const handled: unknown[] = []
    mediator.addEventHandler(Noted, ({ payload }) => { handled.push(payload) })
    mediator.onStartup(async given => { await given.publish(Noted, 'started') })
    await mediator.ready()
    t.strictSame(handled, ['started'])
  })

  for (const [what, hook] of [
    ['throws', () => { throw new Error('no database') }],
    ['rejects', async () => { throw new Error('no database') }]
  ] as const) {
    t.test(`fails ready, each time it is called, with a hook that ${what}, and runs no other`, async t => {
      const { mediator } = createMediator(t)
      const later: string[] = []
      mediator.onStartup(hook)
      mediator.onStartup(() => { later.push('ran') })
      t.match(await rejection(mediator.ready()), { message: 'no database' })
      t.match(await rejection(mediator.ready()), { message: 'no database' })
      t.strictSame(later, [])
    })
  }

  t.test('refuses hooks once ready was called, also in a hook', async t => {
    const { mediator } = createMediator(t)
    const late = { code: 'MEDIATOR_ERR_STARTED_ALREADY', statusCode: 500 }
    mediator.onStartup(() => { t.throws(() => mediator.onStartup(() => {}), late) })
    const ready = mediator.ready()
    t.throws(() => mediator.onStartup(() => {}), late)
    await ready
    t.throws(() => mediator.onStartup(() => {}), late)
  })
})

t.test('ready', async t => {
  t.test('starts once, whenever and however often it is called', async t => {
    const { mediator } = createMediator(t)
    let runs = 0
    mediator.onStartup(async () => {
      runs++
      await turn()
    })
    await Promise.all([mediator.ready(), mediator.ready()])
    await mediator.ready()
    t.equal(runs, 1)
  })

  t.test('need not be called', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Add, ({ a, b }) => a + b)
    t.equal(await mediator.send(Add, { a: 1, b: 2 }), 3)
  })
})

t.test('the plugin', async t => {
  t.test('waits for mappers before it checks that each route has a handler, and checks before the hooks run', async t => {
    const { app } = await createApp(t)
    const order: string[] = []
    void app.mediator.register(async mediator => {
      await turn()
      order.push('mapper')
      mediator.addHandler(Add, ({ a, b }) => a + b)
    })
    app.mediator.onStartup(() => { order.push('hook') })
    app.route(commandRoute(Add, { url: '/add' }))
    await app.ready()
    t.strictSame(order, ['mapper', 'hook'])
    t.equal((await app.inject({ method: 'POST', url: '/add', payload: { a: 1, b: 2 } })).json(), 3)

    const { app: incomplete } = await createApp(t)
    incomplete.mediator.onStartup(() => { order.push('must not run') })
    incomplete.route(commandRoute(Add, { url: '/add' }))
    t.match(await rejection(Promise.resolve(incomplete.ready())), { code: 'MEDIATOR_ERR_UNKNOWN_COMMAND' })
    t.strictSame(order, ['mapper', 'hook'])
  })

  t.test('checks the routes that came after an early ready, too', async t => {
    const { app } = await createApp(t)
    await app.mediator.ready()
    app.route(commandRoute(Add, { url: '/add' }))
    t.match(await rejection(Promise.resolve(app.ready())), { code: 'MEDIATOR_ERR_UNKNOWN_COMMAND' })
  })

  t.test('binds the handlers of modules that are plugins, in the order of their registration', async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(streamingMediator)
    const order: string[] = []
    const module = (name: string, mapper: Mapper) => async (scope: FastifyInstance): Promise<void> => {
      await scope.mediator.register(async mediator => {
        await turn()
        order.push(name)
        await mapper(mediator)
      })
      scope.mediator.onStartup(() => { order.push(`${name} starts`) })
    }
    app.register(module('count', mediator => { mediator.addHandler(Count, (_input, { emit }) => { emit(Noted, 'counted'); return { total: 1 } }) }))
    app.register(module('notes', mediator => { mediator.addEventHandler(Noted, ({ payload }) => { order.push(payload as string) }) }))
    app.register(async scope => { scope.route(commandRoute(Count, { url: '/count' })) }, { prefix: '/api' })
    await app.ready()
    t.strictSame(order, ['count', 'notes', 'count starts', 'notes starts'])
    const response = await app.inject({ method: 'POST', url: '/api/count', headers: { accept: 'application/json' }, payload: { to: 1 } })
    t.strictSame(response.json(), { total: 1 })
    t.strictSame(order.at(-1), 'counted')
  })

  t.test('fails the boot with what a mapper or a hook throws', async t => {
    for (const start of [
      (mediator: StreamingMediator) => { mediator.onStartup(async () => { throw new Error('no database') }) },
      (mediator: StreamingMediator) => { void mediator.register(async () => { throw new Error('no database') }) }
    ]) {
      const { app } = await createApp(t)
      start(app.mediator)
      t.match(await rejection(Promise.resolve(app.ready())), { message: 'no database' })
    }
  })

  t.test('starts the mediator once', async t => {
    const { app } = await createApp(t)
    let runs = 0
    app.mediator.onStartup(() => { runs++ })
    await app.mediator.ready()
    await app.ready()
    await app.ready()
    t.equal(runs, 1)
  })
})

// After the other tests: from here on there is a topic in this process.
t.test('a topic without a broker', async t => {
  const before = createMediator(t)
  await before.mediator.ready()
  defineEvent({ name: 'order.shipped', topic: 'orders', payload: Type.Object({ orderId: Type.String() }) })
  defineEvent({ name: 'stock.moved', topic: 'stock', payload: Type.Null() })
  const missing = { code: 'MEDIATOR_ERR_BROKER_MISSING', message: /"order\.shipped".*"orders".*messageBroker.*NullMessageBroker/ }

  t.test('fails ready and the boot of an app, before any hook runs', async t => {
    const { mediator } = createMediator(t)
    const ran: string[] = []
    mediator.onStartup(() => { ran.push('ran') })
    t.match(await rejection(mediator.ready()), missing)
    const { app } = await createApp(t)
    app.mediator.onStartup(() => { ran.push('ran') })
    t.match(await rejection(Promise.resolve(app.ready())), missing)
    t.strictSame(ran, [])
  })

  t.test('is found where a mapper defines it', async t => {
    const { mediator } = createMediator(t)
    void mediator.register(async () => {
      await turn()
      defineEvent({ name: 'late', topic: 'late', payload: Type.Null() })
    })
    t.match(await rejection(mediator.ready()), { code: 'MEDIATOR_ERR_BROKER_MISSING' })
  })

  for (const messageBroker of [new NullMessageBroker(), new MemoryMessageBroker()]) {
    t.test(`boots with a ${messageBroker.constructor.name}`, async t => {
      await createMediator(t, { messageBroker }).mediator.ready()
      const { app } = await createApp(t, { messageBroker })
      await app.ready()
      t.ok(app.mediator)
    })
  }

  t.test('does not concern a mediator that is ready already', async t => {
    await before.mediator.ready()
    t.ok(before.mediator)
  })
})

t.test('never leaves a rejection unhandled', async t => {
  await turn()
  t.strictSame(unhandled, [])
})
