import Fastify from 'fastify'
import streamingMediator, { commandRoute } from '../../index.js'
import { Events } from '../events-query.js'
import { serve } from '../serve.js'
import { events } from '../source.js'

const app = Fastify()
// An event of a mebibyte of text is a little longer than the default lets through.
await app.register(streamingMediator, { maxFrameBytes: 2 * 1_024 * 1_024 })
app.mediator.addHandler(Events, input => events(input))
app.route(commandRoute(Events, { url: '/', method: 'GET' }))
await app.listen({ port: 0, host: '127.0.0.1' })
await serve(app.server)
