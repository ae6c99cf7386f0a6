import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { FastifySSEPlugin } from 'fastify-sse-v2'
import { serve } from '../serve.js'
import { countOf, events } from '../source.js'

const app = Fastify()
await app.register(FastifySSEPlugin)
app.get('/', (request, reply) => {
  reply.sse(frames(countOf(request.url)))
})
await app.listen({ port: 0, host: '127.0.0.1' })
serve((app.server.address() as AddressInfo).port)

async function * frames (count: number) {
  let id = 0
  for await (const event of events(count)) yield { event: 'progress', id: String(++id), data: JSON.stringify(event) }
  yield { event: 'complete', data: 'null' }
}
