import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import streamingMediator, { MemoryStreamLog, commandRoute, defineQuery, streamRoutes } from '../../index.js'
import { serve } from '../serve.js'
import { events } from '../source.js'

const Events = defineQuery({
  name: 'events',
  input: Type.Object({ count: Type.Integer() }),
  progress: Type.Object({ n: Type.Integer(), status: Type.String(), text: Type.String() })
})

const app = Fastify()
// What has ended is given up soon, so that a round does not pay for those before it.
await app.register(streamingMediator, { owner: 'public', onDisconnect: 'continue', streamLog: new MemoryStreamLog({ retainMs: 100 }) })
await app.register(streamRoutes, { prefix: '/streams' })
// A reader that comes when the stream is further on than its log reaches back is refused: all are there after a moment.
app.mediator.addHandler(Events, async ({ count }) => {
  await setTimeout(500)
  return events(count)
})
app.route(commandRoute(Events, { url: '/', method: 'GET' }))
await app.listen({ port: 0, host: '127.0.0.1' })
serve((app.server.address() as AddressInfo).port)
