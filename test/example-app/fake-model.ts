import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { Upstream } from '../../example-app/chat/upstream.js'

export const secret = 'sk-do-not-tell-anybody'

/** A model's server whose every byte the test decides. It closes with the test. */
export class FakeModel {
  readonly requests: Array<{ headers: IncomingHttpHeaders, body: any, url: string }> = []
  upstream!: Upstream
  #answer: (response: ServerResponse) => void = () => {}

  async start (t: Test, answer: (response: ServerResponse) => void): Promise<this> {
    this.#answer = answer
    const server = createServer((request, response) => {
      void (async () => {
        const body = JSON.parse(await text(request))
        this.requests.push({ headers: request.headers, body, url: request.url! })
        this.#answer(response)
      })()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    this.upstream = { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, apiKey: secret, model: 'fake-1' }
    return this
  }
}

/** Begins an event stream. */
export function begin (response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }).flushHeaders()
}

/** One token in OpenAI's words. */
export function token (content: string): string {
  return `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`
}

/** The end of an answer. */
export const ending = [
  { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null },
  { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }
].map(chunk => `data: ${JSON.stringify(chunk)}\n\n`).join('') + 'data: [DONE]\n\n'
