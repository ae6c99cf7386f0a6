import { createServer } from 'node:http'
import { serve } from '../serve.js'
import { events, workOf } from '../source.js'

// The reference: what a careful person writes without any library, one write an event.
const server = createServer(async (request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  let resume = (): void => {}
  response.on('drain', () => resume()).on('close', () => resume())
  let id = 0
  for await (const event of events(workOf(request.url!))) {
    const free = response.write(`event: progress\nid: ${++id}\ndata: ${JSON.stringify(event)}\n\n`)
    if (!free && !response.destroyed) await new Promise<void>(resolve => { resume = resolve })
    if (response.destroyed) return
  }
  response.end('event: complete\ndata: null\n\n')
})
await serve(server)
