import type { AddressInfo } from 'node:net'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import streamingMediator, { commandRoute, defineQuery } from '../../index.js'
import { answer } from '../answer.js'

/** What the bench asks of a server some of whose clients do not read. */
export type StallQuestion = 'port' | 'rss' | 'cpu' | 'stalled'

/** How long a client may leave what was written unread. */
const stallTimeoutMs = 6_000

const Text = Type.Object({ text: Type.String() })
const Flood = defineQuery({ name: 'flood', input: Type.Object({}), progress: Text })
const Short = defineQuery({ name: 'short', input: Type.Object({}), progress: Text })
const text = 'x'.repeat(4_096)

const app = Fastify()
await app.register(streamingMediator, { stallTimeoutMs })
app.mediator.addHandler(Flood, async function * () {
  while (true) yield { text }
})
app.mediator.addHandler(Short, async function * () {
  for (let n = 0; n < 5; n++) {
    await turn()
    yield { text: 'short' }
  }
})
let stalled = 0
app.mediator.onStreamEnd(({ reason }) => { if (reason === 'stalled') stalled++ })
app.route(commandRoute(Flood, { url: '/flood', method: 'GET' }))
app.route(commandRoute(Short, { url: '/short', method: 'GET' }))
await app.listen({ port: 0, host: '127.0.0.1' })

answer(async (question: StallQuestion) => {
  if (question === 'port') return (app.server.address() as AddressInfo).port
  if (question === 'rss') return process.memoryUsage.rss()
  if (question === 'cpu') {
    const { user, system } = process.cpuUsage()
    return user + system
  }
  while (app.mediator.stats().streams > 0) await sleep(50)
  return stalled
})
