import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '../serve.js'
import { countOf, events } from '../source.js'

// The reference: what a careful person writes without any library, one write an event.
const server = createServer(async (request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  let id = 0
  for await (const event of events(countOf(request.url!))) {
    if (!response.write(`event: progress\nid: ${++id}\ndata: ${JSON.stringify(event)}\n\n`)) await once(response, 'drain')
  }
  response.end('event: complete\ndata: null\n\n')
})
server.listen(0, '127.0.0.1', () => serve((server.address() as AddressInfo).port))
