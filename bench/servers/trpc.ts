import { createServer } from 'node:http'
import { initTRPC, tracked } from '@trpc/server'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { serve } from '../serve.js'
import { events, workOf } from '../source.js'
import type { Work } from '../source.js'

const { router, procedure } = initTRPC.create()
const handle = createHTTPHandler({
  router: router({
    events: procedure.input(input => input as Work).subscription(async function * ({ input }) {
      let id = 0
      for await (const event of events(input)) yield tracked(String(++id), event)
    })
  })
})
// The bench asks every server by the same url; `httpSubscriptionLink` would ask by this one.
const server = createServer((request, response) => {
  request.url = `/events?input=${encodeURIComponent(JSON.stringify(workOf(request.url!)))}`
  handle(request, response)
})
await serve(server)
