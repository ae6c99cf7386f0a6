import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** An event as a parser gives it: its type (`message` where it has none), its id and its data. */
export type Parsed = readonly [type: string, id: string, data: string]

/** What follows each stream: a parser that has this one has all before it, and nothing of the stream is left open. */
export const sentinel = 'event: sentinel\nid: s\ndata: end\n\n'

/** Cuts bytes at random places, also inside of characters, `\n\n` and field names. */
export function cut (bytes: Buffer, random: () => number): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    // Mostly a few bytes, and now and then many: streams of 100 KiB shall not take forever.
    const length = 1 + Math.floor(random() < 0.5 ? random() * 8 : random() * random() * 20_000)
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  return chunks
}

/**
 * Serves recorded streams at `/streams/<index>` with other chunks each time, and a page at `/` that reads all of them with the
 * browser's EventSource and posts what it got to `/seen`.
 */
export async function createReplayServer (
  t: Test, streams: readonly Buffer[], names: readonly string[], random: () => number
): Promise<{ origin: string, seen: Promise<Parsed[][]> }> {
  let onSeen!: (parsed: Parsed[][]) => void
  const seen = new Promise<Parsed[][]>(resolve => { onSeen = resolve })
  const server = createServer((request, response) => {
    void (async () => {
      const { url = '' } = request
      const index = /^\/streams\/(\d+)$/.exec(url)?.[1]
      if (index !== undefined) {
        response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
        for (const chunk of cut(Buffer.concat([streams[Number(index)]!, Buffer.from(sentinel)]), random)) {
          if (!response.write(chunk)) await Promise.race([once(response, 'drain'), once(response, 'close')])
          else await new Promise(resolve => setImmediate(resolve))
        }
        // The reader closes it.
      } else if (url === '/seen') {
        onSeen(JSON.parse(await textOf(request)))
        response.end()
      } else if (url === '/') {
        response.writeHead(200, { 'content-type': 'text/html' })
        response.end(page(streams.length, names))
      } else {
        response.writeHead(404).end()
      }
    })()
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

async function textOf (request: IncomingMessage): Promise<string> {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function page (streams: number, names: readonly string[]): string {
  return `<!doctype html><meta charset="utf-8"><script type="module">
    const seen = []
    for (let index = 0; index < ${streams}; index++) {
      const parsed = []
      seen.push(parsed)
      await new Promise(resolve => {
        const source = new EventSource('/streams/' + index)
        source.onerror = () => parsed.push(['error', '', 'of the connection'])
        for (const name of ${JSON.stringify(names)}) source.addEventListener(name, ({ lastEventId, data }) => parsed.push([name, lastEventId, data]))
        source.addEventListener('sentinel', () => {
          source.close()
          resolve()
        })
      })
    }
    await fetch('/seen', { method: 'POST', body: JSON.stringify(seen) })
  </script>`
}
