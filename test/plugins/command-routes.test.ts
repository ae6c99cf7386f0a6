import t from 'tap'
import Fastify from 'fastify'
import { commandRoutes } from '../../index.js'
import type { CommandRoutesOptions } from '../../index.js'
import { Add, Count, Watch, createApp } from '../support/app.js'

async function routesOf (t: Parameters<typeof createApp>[0], commands: CommandRoutesOptions['commands']): Promise<string[]> {
  const { app } = await createApp(t)
  const routes: string[] = []
  app.addHook('onRoute', ({ method, url }) => { if (method !== 'HEAD') routes.push(`${String(method)} ${url}`) })
  app.mediator.addHandler(Count, () => ({ total: 0 }))
  app.mediator.addHandler(Watch, async function * () {})
  app.mediator.addHandler(Add, () => 1)
  await app.register(commandRoutes, { prefix: '/commands', commands })
  await app.ready()
  return routes
}

t.test('makes POST for commands, GET and POST for queries', async t => {
  t.strictSame(await routesOf(t, [Count, Watch]), ['POST /commands/count', 'POST /commands/watch', 'GET /commands/watch'])
})

t.test('makes GET too for a command whose entry says so', async t => {
  t.strictSame(await routesOf(t, [{ command: Count, method: 'GET' }]), ['GET /commands/count', 'POST /commands/count'])
  t.strictSame(await routesOf(t, [Count, { command: Count, method: 'GET' }]), ['POST /commands/count', 'GET /commands/count'])
})

t.test('takes the options of an entry', async t => {
  t.strictSame(await routesOf(t, [{ command: Add, url: '/sum' }, { command: Watch, url: '/w' }]),
    ['POST /commands/sum', 'POST /commands/w', 'GET /commands/w'])
})

t.test('fails at boot without the plugin', async t => {
  const app = Fastify()
  await t.rejects(async () => await app.register(commandRoutes, { commands: [Count] }), { code: 'MEDIATOR_ERR_PLUGIN_MISSING' })
})

t.test('fails at boot for a GET route whose input is nested', async t => {
  const { Type } = await import('@sinclair/typebox')
  const { defineQuery } = await import('../../index.js')
  const Nested = defineQuery({ name: 'nested', input: Type.Object({ a: Type.Object({}) }) })
  await t.rejects(routesOf(t, [Nested]), { code: 'MEDIATOR_ERR_INVALID_ROUTE' })
})
