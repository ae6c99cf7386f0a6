import type { AddressInfo } from 'node:net'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import streamingMediator, { commandRoute, defineQuery } from '../../index.js'
import { serve } from './serve.js'
import { events } from './source.js'

const Events = defineQuery({
  name: 'events',
  input: Type.Object({ count: Type.Integer() }),
  progress: Type.Object({ n: Type.Integer(), status: Type.String(), text: Type.String() })
})

const app = Fastify()
await app.register(streamingMediator)
app.mediator.addHandler(Events, ({ count }) => events(count))
app.route(commandRoute(Events, { url: '/', method: 'GET' }))
await app.listen({ port: 0, host: '127.0.0.1' })
serve((app.server.address() as AddressInfo).port)
