import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { fastifyAwilixPlugin } from '@fastify/awilix'
import { Type } from '@sinclair/typebox'
import { asClass, asValue, createContainer } from 'awilix'
import type { AwilixContainer } from 'awilix'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import streamingMediator, { commandRoute, commandRoutes, defineCommand, defineEvent } from '../../index.js'
import type { Caller, HandlerContext, InputOf, StreamingMediatorOptions } from '../../index.js'
import { Count, createApp, createLog, deferred, listen } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'

const Who = defineCommand({ name: 'who', input: Type.Object({}), result: Type.Any() })
const Happened = defineEvent({ name: 'happened', payload: Type.Any() })

const post = { body: { to: 1 } }
const user = (userId: unknown): Caller => ({ userId })
const byHeader = ({ headers }: FastifyRequest): Caller | undefined => headers.user === undefined ? undefined : user(headers.user)

async function ask (app: FastifyInstance, url: string, headers: Record<string, string> = {}): Promise<unknown> {
  const response = await app.inject({ method: 'POST', url, headers, payload: {} })
  return response.json()
}

t.test('caller', async t => {
  const answers = (app: FastifyInstance): void => app.mediator.addHandler(Who, (_input, { caller }) => caller ?? 'nobody')

  t.test('is what the option of the plugin says, or that of the route', async t => {
    const { app } = await createApp(t, { caller: byHeader })
    answers(app)
    app.route(commandRoute(Who, { url: '/plugin' }))
    app.route(commandRoute(Who, { url: '/route', caller: async ({ headers }) => user(`route ${headers.user}`) }))
    await app.register(commandRoutes, { prefix: '/routes', commands: [{ command: Who, caller: () => user('entry') }] })
    t.strictSame(await ask(app, '/plugin', { user: 'ada' }), { userId: 'ada' })
    t.strictSame(await ask(app, '/plugin'), 'nobody')
    t.strictSame(await ask(app, '/route', { user: 'ada' }), { userId: 'route ada' })
    t.strictSame(await ask(app, '/routes/who', { user: 'ada' }), { userId: 'entry' })
  })

  t.test('is nobody without the option, and without HTTP', async t => {
    const { app } = await createApp(t)
    answers(app)
    app.route(commandRoute(Who, { url: '/who' }))
    t.equal(await ask(app, '/who'), 'nobody')
    t.equal(await app.mediator.send(Who, {}), 'nobody')
    t.strictSame(await app.mediator.send(Who, {}, { caller: user('job') }), { userId: 'job' })
  })

  t.test('is inherited by calls of the context and by event handlers, and by their calls; a call may say another', async t => {
    const { app } = await createApp(t, { caller: byHeader })
    answers(app)
    const seen: unknown[] = []
    const Start = defineCommand({ name: 'start', input: Type.Object({}), result: Type.Any() })
    app.mediator.addEventHandler(Happened, async ({ payload }, { caller, mediator }) => {
      seen.push([payload, caller, await mediator.send(Who, {})])
    })
    app.mediator.addHandler(Start, async (_input, { emit, mediator }) => {
      emit(Happened, 'emitted')
      await mediator.publish(Happened, 'published')
      await mediator.publish(Happened, 'for another', { caller: user('system') })
      return [await mediator.send(Who, {}), await mediator.stream(Who, {}).result, await mediator.send(Who, {}, { caller: user('system') })]
    })
    app.route(commandRoute(Start, { url: '/start' }))
    const [ada, system] = [user('ada'), user('system')]
    t.strictSame(await ask(app, '/start', { user: 'ada' }), [ada, ada, system])
    t.strictSame(seen, [['published', ada, ada], ['for another', system, system], ['emitted', ada, ada]])
  })

  for (const [how, caller] of [
    ['throws', () => { throw Object.assign(new Error('Who are you?'), { statusCode: 401, code: 'NO_CALLER' }) }],
    ['rejects', async () => { throw Object.assign(new Error('Who are you?'), { statusCode: 401, code: 'NO_CALLER' }) }]
  ] as Array<[string, () => never]>) {
    t.test(`that ${how} is a problem with its status, and starts nothing`, async t => {
      const { app } = await createApp(t)
      app.mediator.addHandler(Count, () => t.fail('started') as never)
      app.route(commandRoute(Count, { url: '/count', caller }))
      for (const accept of ['text/event-stream', 'application/json']) {
        const response = await app.inject({ method: 'POST', url: '/count', headers: { accept }, payload: post.body })
        t.equal(response.statusCode, 401)
        t.equal(response.headers['content-type'], 'application/problem+json')
        t.match(response.json(), { status: 401, code: 'NO_CALLER', detail: 'Who are you?' })
      }
      t.equal(app.mediator.stats().streams, 0)
    })
  }

  t.test('is not asked for bad input', async t => {
    const { app } = await createApp(t, { caller: () => t.fail('asked') as never })
    app.mediator.addHandler(Count, () => ({ total: 1 }))
    app.route(commandRoute(Count, { url: '/count' }))
    t.equal((await app.inject({ method: 'POST', url: '/count', payload: { to: 'x' } })).statusCode, 400)
  })

  for (const accept of ['text/event-stream', 'application/json']) {
    t.test(`that is looked up while the client of ${accept} leaves starts nothing`, async t => {
      const [entered, left] = [deferred(), deferred()]
      let scopes = 0
      const { app, logs } = await createApp(t, {
        caller: async request => {
          entered.resolve()
          await once(request.raw.socket, 'close')
          setImmediate(left.resolve)
          return user('late')
        },
        scope: () => {
          scopes++
          return { resolve: () => { t.fail('resolved') } }
        }
      })
      app.mediator.addHandler(Count, 'counter')
      app.route(commandRoute(Count, { url: '/count' }))
      const client = new RawClient(await listen(app))
      client.request('POST', '/count', { ...post, headers: { accept } })
      await entered.promise
      client.socket.destroy()
      await left.promise
      await turn()
      t.strictSame([app.mediator.stats().streams, scopes], [0, 0])
      t.strictSame(logs.filter(({ level }) => level >= 40), [])
    })
  }
})

for (const name of ['caller', 'scope'] as const) {
  for (const value of [createContainer(), 'text', null]) {
    t.test(`${name} is refused as an option where it is ${value === null ? 'null' : typeof value}`, async t => {
      const app = Fastify()
      await t.rejects(async () => await app.register(streamingMediator, { [name]: value } as unknown as StreamingMediatorOptions), {
        code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: new RegExp(`streamingMediator.*${name}`)
      })
      t.throws(() => commandRoute(Count, { url: '/count', [name]: value as never }), { code: 'MEDIATOR_ERR_INVALID_ROUTE', message: new RegExp(name) })
    })
  }
}

t.test('scope', async t => {
  t.test('is made from the request by the option of the route, or that of the plugin', async t => {
    const { app } = await createApp(t, { scope: request => ({ resolve: name => `${name} of the plugin for ${request?.id}` }) })
    app.mediator.addHandler(Who, (_input, { scope }) => scope.resolve('db'))
    app.route(commandRoute(Who, { url: '/plugin' }))
    app.route(commandRoute(Who, { url: '/route', scope: ({ id }) => ({ resolve: name => `${name} of the route for ${id}` }) }))
    t.equal(await ask(app, '/plugin'), 'db of the plugin for req-1')
    t.equal(await ask(app, '/route'), 'db of the route for req-2')
    t.equal(await app.mediator.send(Who, {}), 'db of the plugin for undefined')
  })

  t.test('that cannot be made is a problem', async t => {
    const { app, logs } = await createApp(t, { scope: () => { throw new Error('secret') } })
    app.mediator.addHandler(Count, 'counter')
    app.route(commandRoute(Count, { url: '/count' }))
    const response = await app.inject({ method: 'POST', url: '/count', payload: post.body })
    t.equal(response.statusCode, 500)
    t.notMatch(response.body, /secret/)
    t.match(logs.filter(({ level }) => level >= 50), [{ err: { message: 'secret' } }])
  })
})

class Connection {
  static opened = 0
  open = true
  constructor () { Connection.opened++ }
  close (): void { this.open = false }
}

const steps = { blocked: deferred(), ended: deferred<boolean>() }

class CountWithConnection {
  readonly #connection: Connection
  readonly #user: string
  constructor ({ connection, user }: { connection: Connection, user: string }) {
    this.#connection = connection
    this.#user = user
  }

  async * handle ({ to }: InputOf<typeof Count>, { signal, emit }: HandlerContext): AsyncGenerator<{ n: number, text: string }, { total: number }, void> {
    try {
      emit(Happened, this.#connection)
      for (let n = 1; n <= to; n++) yield { n, text: `${this.#user}, ${this.#connection.open}` }
      if (to === 2) {
        steps.blocked.resolve()
        await once(signal, 'abort')
      }
    } finally {
      await turn()
      steps.ended.resolve(this.#connection.open)
    }
    return { total: to }
  }
}

class AuditWithConnection {
  readonly #connection: Connection
  constructor ({ connection }: { connection: Connection }) { this.#connection = connection }
  async handle ({ payload }: { payload: unknown }): Promise<void> {
    await turn()
    if (payload !== this.#connection || !this.#connection.open) throw new Error('another connection, or a closed one')
  }
}

async function createAwilixApp (t: Test, options: { disposeOnResponse?: boolean, scope: StreamingMediatorOptions['scope'] }) {
  steps.blocked = deferred()
  steps.ended = deferred()
  Connection.opened = 0
  const closed = deferred()
  let disposals = 0
  const container: AwilixContainer = createContainer({ strict: true })
  container.register({
    connection: asClass(Connection).scoped().disposer(connection => {
      disposals++
      connection.close()
      closed.resolve()
    }),
    count: asClass(CountWithConnection).scoped()
  })
  const { logs, logger } = createLog()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  const { scope, ...rest } = options
  await app.register(fastifyAwilixPlugin, { container, eagerInject: false, ...rest } as object)
  app.addHook('preHandler', async ({ diScope, headers }) => { diScope.register({ user: asValue(String(headers.user)) }) })
  await app.register(streamingMediator, { closeGraceMs: 0, scope: scope! })
  app.mediator.addHandler(Count, 'count')
  app.mediator.addEventHandler(Happened, AuditWithConnection)
  app.route(commandRoute(Count, { url: '/count' }))
  return { app, logs, closed: closed.promise, disposals: () => disposals }
}

for (const [what, options] of [
  ['a scope of its own in that of the request', { scope: (request?: FastifyRequest) => request!.diScope.createScope() }],
  ['the scope of the request', { disposeOnResponse: false, scope: (request?: FastifyRequest) => request!.diScope }]
] as const) {
  t.test(`@fastify/awilix, with ${what}`, async t => {
    for (const accept of ['text/event-stream', 'application/json']) {
      t.test(`lives as long as a stream for ${accept}`, async t => {
        const { app, logs, closed, disposals } = await createAwilixApp(t, options)
        const response = await app.inject({ method: 'POST', url: '/count', headers: { accept, user: 'ada' }, payload: { to: 1 } })
        if (accept === 'application/json') t.strictSame(response.json(), { total: 1 })
        else t.match(response.body, /"text":"ada, true"[^]*"total":1/)
        t.equal(await steps.ended.promise, true)
        await closed
        await turn()
        t.strictSame([Connection.opened, disposals()], [1, 1], 'shared by the handler and the event handler')
        t.strictSame(logs.filter(({ level }) => level >= 40), [])
      })

      t.test(`outlives the HTTP handler of ${accept}, and ends with the stream when the client leaves`, async t => {
        const { app, logs, closed, disposals } = await createAwilixApp(t, options)
        const client = new RawClient(await listen(app))
        client.request('POST', '/count', { body: { to: 2 }, headers: { accept, user: 'ada' } })
        if (accept === 'text/event-stream') await client.until('"text":"ada, true"')
        await steps.blocked.promise
        t.equal(disposals(), 0)
        client.socket.destroy()
        t.equal(await steps.ended.promise, true, 'open in finally')
        await closed
        await turn()
        t.strictSame([Connection.opened, disposals(), app.mediator.stats().streams], [1, 1, 0])
        t.strictSame(logs.filter(({ level }) => level >= 40), [])
      })
    }

    t.test('is disposed before the app has closed', async t => {
      const { app, disposals } = await createAwilixApp(t, options)
      const client = new RawClient(await listen(app))
      client.request('POST', '/count', { body: { to: 2 }, headers: { user: 'ada' } })
      await steps.blocked.promise
      await app.close()
      t.equal(await steps.ended.promise, true)
      t.equal(disposals(), 1)
    })
  })
}

t.test('two requests at once have scopes of their own', async t => {
  const { app, disposals } = await createAwilixApp(t, { scope: request => request!.diScope.createScope() })
  const answers = await Promise.all(['ada', 'grace'].map(async user =>
    (await app.inject({ method: 'POST', url: '/count', headers: { user }, payload: { to: 1 } })).body))
  t.match(answers[0], /"text":"ada, true"/)
  t.match(answers[1], /"text":"grace, true"/)
  await app.close()
  t.strictSame([Connection.opened, disposals()], [2, 2])
})
