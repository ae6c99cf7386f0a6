import Fastify from 'fastify'
import streamingMediator, { MemoryStreamLog, commandRoute, streamRoutes } from '../../index.js'
import { Events } from '../events-query.js'
import { serve } from '../serve.js'
import { events } from '../source.js'

const app = Fastify()
// What has ended is given up soon, so that a round does not pay for those before it.
await app.register(streamingMediator, { owner: 'public', onDisconnect: 'continue', streamLog: new MemoryStreamLog({ retainMs: 100 }) })
await app.register(streamRoutes, { prefix: '/streams' })
app.mediator.addHandler(Events, input => events(input))
app.route(commandRoute(Events, { url: '/', method: 'GET' }))
await app.listen({ port: 0, host: '127.0.0.1' })
await serve(app.server)
