import Fastify from 'fastify'
import { FastifySSEPlugin } from 'fastify-sse-v2'
import { serve } from '../serve.js'
import { events, workOf } from '../source.js'
import type { Work } from '../source.js'

const app = Fastify()
await app.register(FastifySSEPlugin)
app.get('/', (request, reply) => {
  reply.sse(frames(workOf(request.url)))
})
await app.listen({ port: 0, host: '127.0.0.1' })
await serve(app.server)

async function * frames (work: Work) {
  let id = 0
  for await (const event of events(work)) yield { event: 'progress', id: String(++id), data: JSON.stringify(event) }
  yield { event: 'complete', data: 'null' }
}
