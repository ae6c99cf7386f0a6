import { once } from 'node:events'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from './serve.js'
import { events } from './source.js'

// What the figures are ratios of: `node:http` by hand, with one write for all that is ready in a turn of the event loop. It is the gate's own, and
// never made faster or slower: whoever changes it changes what every baseline means.

const writeBytes = 16_384

const server = createServer(async (request, response) => {
  const count = Number(new URL(request.url!, 'http://localhost').searchParams.get('count'))
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  let text = ''
  let id = 0
  const flush = (): void => {
    if (text === '') return
    response.write(text)
    text = ''
  }
  for await (const event of events(count)) {
    if (text === '') setImmediate(flush)
    text += `event: progress\nid: ${++id}\ndata: ${JSON.stringify(event)}\n\n`
    if (text.length >= writeBytes) {
      flush()
      await readyFor(response)
    }
  }
  response.end(text + 'event: complete\ndata: null\n\n')
  text = ''
})

/** Waits for a reader that is slow, and for a turn of the event loop in any case: a source that never waits would keep all others waiting. */
async function readyFor (response: ServerResponse): Promise<void> {
  if (response.writableNeedDrain) await once(response, 'drain')
  else await new Promise(setImmediate)
}

server.listen(0, '127.0.0.1', () => serve((server.address() as AddressInfo).port))
