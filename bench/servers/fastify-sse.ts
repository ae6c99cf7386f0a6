import type { AddressInfo } from 'node:net'
import sse from '@fastify/sse'
import Fastify from 'fastify'
import { serve } from '../serve.js'
import { countOf, events } from '../source.js'

const app = Fastify()
await app.register(sse.default)
app.get('/', { sse: true }, async (request, reply) => {
  // Both peers declare `reply.sse`, and only one declaration can win in one project.
  const { send } = reply.sse as unknown as { send: (source: AsyncIterable<unknown>) => Promise<void> }
  await send.call(reply.sse, frames(countOf(request.url)))
})
await app.listen({ port: 0, host: '127.0.0.1' })
serve((app.server.address() as AddressInfo).port)

async function * frames (count: number) {
  let id = 0
  for await (const data of events(count)) yield { event: 'progress', id: String(++id), data }
  yield { event: 'complete', data: null }
}
