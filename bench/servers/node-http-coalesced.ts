import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { serve } from '../serve.js'
import { events, workOf } from '../source.js'

// As much as `write` takes before it asks to wait for 'drain'.
const maxChunk = 16_384

// The physical reference: the same generator, `JSON.stringify`, and by hand what makes a stream fast. All that is ready in one turn of
// the event loop leaves in one write, so that a system call carries some hundred events. The frames have ids as long as the mediator's.
const server = createServer(async (request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  const writer = new CoalescingWriter(response)
  const head = `event: progress\nid: ${randomBytes(16).toString('base64url')}.`
  let id = 0
  for await (const event of events(workOf(request.url!))) {
    if (writer.add(`${head}${++id}\ndata: ${JSON.stringify(event)}\n\n`)) await writer.flushed()
    if (response.destroyed) return
  }
  writer.end('event: complete\ndata: null\n\n')
})
await serve(server)

class CoalescingWriter {
  readonly #response: ServerResponse
  #waiting = ''
  #wake: (() => void) | undefined

  constructor (response: ServerResponse) {
    this.#response = response
    response.on('drain', this.#resume).on('close', this.#resume)
  }

  /** Returns whether to wait before the next frame. */
  add (frame: string): boolean {
    // `nextTick` comes when no microtask is left: when the generator waits for something.
    if (this.#waiting === '') process.nextTick(this.#flush)
    this.#waiting += frame
    return this.#waiting.length >= maxChunk
  }

  /**
   * Waits for one turn of the event loop, then for the socket. 'drain' alone would not do: where the reader is fast it comes in the same
   * turn, and a generator that never waits would starve all others.
   */
  async flushed (): Promise<void> {
    this.#flush()
    await setImmediate()
    if (this.#response.writableNeedDrain && !this.#response.destroyed) await new Promise<void>(resolve => { this.#wake = resolve })
  }

  end (frame: string): void {
    this.#response.end(this.#waiting + frame)
    this.#waiting = ''
  }

  readonly #flush = (): void => {
    if (this.#waiting === '' || this.#response.writableNeedDrain) return
    const text = this.#waiting
    this.#waiting = ''
    this.#response.write(text)
  }

  readonly #resume = (): void => {
    this.#flush()
    this.#wake?.()
    this.#wake = undefined
  }
}
