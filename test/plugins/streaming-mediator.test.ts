import t from 'tap'
import Fastify from 'fastify'
import streamingMediator, { commandRoute, streamingMediator as named } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { Add, Count, createApp } from '../support/app.js'

t.test('is the default and a named export', async t => { t.equal(streamingMediator, named) })

t.test('decorates the instance that it is registered on, and its children', async t => {
  const app = Fastify()
  await app.register(async scope => {
    await scope.register(streamingMediator)
    t.ok(scope.mediator)
    scope.mediator.addHandler(Count, () => ({ total: 1 }))
    t.strictSame(await scope.mediator.send(Count, { to: 1, label: '' }), { total: 1 })
    await scope.register(async child => { t.equal(child.mediator, scope.mediator) })
  })
  await app.ready()
  t.notOk(app.hasDecorator('mediator'))
  await app.close()
})

t.test('is registered once an instance', async t => {
  const app = Fastify()
  await app.register(streamingMediator)
  await t.rejects(async () => await app.register(streamingMediator), { code: 'FST_ERR_DEC_ALREADY_PRESENT' })
})

for (const [what, options, message] of [
  ['an unknown option', { maxConcurentEventHandlers: 3 }, /maxConcurentEventHandlers is not allowed/],
  ['a limit of 0', { maxConcurrentEventHandlers: 0 }, /maxConcurrentEventHandlers must be >= 1/],
  ['a text where a number belongs', { closeGraceMs: '5' }, /closeGraceMs must be integer/],
  ['a negative commitAfterMs', { commitAfterMs: -1 }, /commitAfterMs must be >= 0/],
  ['NaN', { commitAfterMs: NaN }, /commitAfterMs/],
  ['a heartbeat that floods', { heartbeatMs: 0 }, /heartbeatMs must be >= 10/]
] as const) {
  t.test(`refuses ${what} at registration`, async t => {
    const app = Fastify()
    await t.rejects(async () => await app.register(streamingMediator, options as object), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message })
  })
}

t.test('never changes the options of its caller', async t => {
  const options = Object.freeze({ maxPendingEvents: 5 })
  const { app } = await createApp(t, options)
  await app.ready()
  t.strictSame(options, { maxPendingEvents: 5 })
})

t.test('fails at boot for a route whose command has no handler', async t => {
  const { app } = await createApp(t)
  app.get('/other', () => 'fine')
  app.route(commandRoute(Count, { url: '/count' }))
  await t.rejects(async () => await app.ready(), { code: 'MEDIATOR_ERR_UNKNOWN_COMMAND', message: /"count"/ })
})

t.test('logs with the app\'s logger, or with one that it is given', async t => {
  const { app, logs } = await createApp(t)
  app.mediator.addHandler(Count, async function * (_input, { log }) {
    log.info('hello')
    return { total: 1 }
  })
  await app.mediator.send(Count, { to: 1, label: '' })
  t.match(logs.filter(({ msg }) => msg === 'hello'), [{ command: 'count', streamId: String }])
})

t.test('refuses new streams once the app closes', async t => {
  const { app } = await createApp(t)
  app.mediator.addHandler(Count, () => ({ total: 1 }))
  await app.ready()
  await app.close()
  await t.rejects(app.mediator.send(Count, { to: 1, label: '' }), { code: 'MEDIATOR_ERR_SHUTTING_DOWN', statusCode: 503 })
})

for (const [connectionTimeout, heartbeatMs, expected] of [
  [0, 15_000, 15_000], [20_000, 15_000, 10_000], [60_000, 15_000, 15_000], [10, 15_000, 10], [20_000, 50, 50]
] as const) {
  t.test(`tells a heartbeat of ${expected} ms where ${heartbeatMs} are wanted and connections time out after ${connectionTimeout} ms`, async t => {
    const { app } = await createApp(t, { heartbeatMs }, { connectionTimeout })
    app.mediator.addHandler(Count, async function * () { return { total: 1 } })
    app.route(commandRoute(Count, { url: '/count' }))
    const [start] = readFrames((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).body)
    t.equal(start!.data.heartbeatMs, expected)
  })
}

t.test('a handlerTimeout of the server is not for command routes, unless one says so', async t => {
  const { app } = await createApp(t, {}, { handlerTimeout: 50 })
  app.mediator.addHandler(Add, () => 1)
  const timeouts: Record<string, unknown> = {}
  app.addHook('onRoute', ({ url, ...route }) => { timeouts[url] = (route as { handlerTimeout?: number }).handlerTimeout })
  app.route(commandRoute(Add, { url: '/add' }))
  app.route(commandRoute(Add, { url: '/timed', handlerTimeout: 50 }))
  app.post('/other', () => 'fine')
  t.match(timeouts, { '/add': 2 ** 31 - 1, '/timed': 50 })
  t.equal(timeouts['/other'], undefined)
  t.equal((await app.inject({ method: 'POST', url: '/add', payload: { a: 1, b: 2 } })).body, '1')
})
