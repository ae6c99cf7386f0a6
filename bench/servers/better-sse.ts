import { createServer } from 'node:http'
import { createSession } from 'better-sse'
import { serve } from '../serve.js'
import { events, workOf } from '../source.js'

const server = createServer(async (request, response) => {
  const session = await createSession(request, response)
  await session.iterate(events(workOf(request.url!)), { eventName: 'progress' })
  session.push(null, 'complete')
  response.end()
})
await serve(server)
