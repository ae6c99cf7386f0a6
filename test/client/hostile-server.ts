import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A server of the test's own, on a port of its own. It closes with the test. */
export class HostileServer {
  readonly requests: Array<{ readonly method: string, readonly url: string, readonly headers: IncomingMessage['headers'], readonly at: number }> = []
  url = ''

  async start (t: Test, answer: (request: IncomingMessage, response: ServerResponse, count: number) => unknown): Promise<this> {
    const server = createServer((request, response) => {
      const { method = '', url = '', headers } = request
      const count = this.requests.push({ method, url, headers, at: performance.now() })
      request.resume()
      response.on('error', () => {})
      void answer(request, response, count)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return this
  }

  /** The shortest time between two requests. */
  get shortestPause (): number {
    return Math.min(...this.requests.slice(1).map(({ at }, index) => at - this.requests[index]!.at))
  }
}

export const streamId = 'Zk3vQx0bT2mYw9LhR4sD1A'

/** One server-sent event. */
export function frame (event: string, id: string | undefined, data: unknown, retry?: number): string {
  return `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}${retry === undefined ? '' : `retry: ${retry}\n`}data: ${JSON.stringify(data)}\n\n`
}

/** The `start` of a stream that is kept. */
export function startFrame (members: object = {}, retry?: number, id = `${streamId}.1`): string {
  return frame('start', id, { streamId, command: 'count', attempt: 1, resumable: true, url: `/streams/${streamId}`, heartbeatMs: 15_000, ...members }, retry)
}

/** Begins an event stream. */
export function beginStream (response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
}
