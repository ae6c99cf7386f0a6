import sse from '@fastify/sse'
import Fastify from 'fastify'
import { serve } from '../serve.js'
import { events, workOf } from '../source.js'
import type { Work } from '../source.js'

const app = Fastify()
await app.register(sse.default)
app.get('/', { sse: true }, async (request, reply) => {
  // Both peers declare `reply.sse`, and only one declaration can win in one project.
  const { send } = reply.sse as unknown as { send: (source: AsyncIterable<unknown>) => Promise<void> }
  await send.call(reply.sse, frames(workOf(request.url)))
})
await app.listen({ port: 0, host: '127.0.0.1' })
await serve(app.server)

async function * frames (work: Work) {
  let id = 0
  for await (const data of events(work)) yield { event: 'progress', id: String(++id), data }
  yield { event: 'complete', data: null }
}
