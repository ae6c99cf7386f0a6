import { once } from 'node:events'
import { request as requestHttp1 } from 'node:https'
import type { IncomingHttpHeaders } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { createGunzip } from 'node:zlib'
import type { Test } from 'tap'
import type { RunningProxy } from './proxy.js'

export type Protocol = 'HTTP/1.1' | 'HTTP/2'

/** How a client goes away. */
export type Leaving = 'close' | 'reset' | 'stream'

interface RequestParts {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

/** One request and what has arrived of its answer. */
export class Exchange {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  text = ''
  /** Whether the answer ended as it should; undefined until it has ended. */
  whole: boolean | undefined
  /** Goes away: by closing its connection, by resetting it, or, with HTTP/2, by ending its stream alone. */
  readonly leave: (how: Leaving) => void
  readonly #body: Readable
  readonly #closed: Promise<void>

  constructor (status: number, headers: IncomingHttpHeaders, body: Readable, leave: (how: Leaving) => void) {
    this.status = status
    this.headers = headers
    this.leave = leave
    this.#body = headers['content-encoding'] === 'gzip' ? body.pipe(createGunzip()) : body
    this.#body.setEncoding('utf8')
    this.#body.on('data', (text: string) => { this.text += text })
    this.#body.on('error', () => {})
    body.on('error', () => {})
    let ended = false
    this.#body.once('end', () => { ended = true })
    // An answer of HTTP/1.1 that was cut emits `aborted`, one of HTTP/2 `error`: neither of them `end` and nothing else.
    let cut = false
    body.once('aborted', () => { cut = true })
    body.once('error', () => { cut = true })
    this.#closed = new Promise(resolve => this.#body.once('close', () => {
      this.whole = ended && !cut
      resolve()
    }))
  }

  /** Resolves when what has arrived holds the text, so many times. */
  async until (text: string, times = 1): Promise<void> {
    while (this.text.split(text).length <= times) {
      if (this.whole !== undefined) throw new Error(`the answer ended before ${JSON.stringify(text)}: ${this.text}`)
      await Promise.race([once(this.#body, 'data'), this.#closed])
    }
  }

  /** Resolves with the whole text when the answer has ended or was cut. */
  async end (): Promise<string> {
    await this.#closed
    return this.text
  }

  stopReading (): void {
    this.#body.pause()
  }

  onText (listener: (text: string) => void): void {
    this.#body.on('data', listener)
  }
}

/** A client of a proxy. With HTTP/2 all of its requests are on one connection, with HTTP/1.1 each has its own. */
export class ProxyClient {
  readonly #proxy: RunningProxy
  readonly #protocol: Protocol
  #session: ClientHttp2Session | undefined

  constructor (t: Test, proxy: RunningProxy, protocol: Protocol) {
    this.#proxy = proxy
    this.#protocol = protocol
    t.teardown(() => this.#session?.destroy())
  }

  /** The `host` of its requests. */
  get host (): string {
    return `localhost:${this.#proxy.port}`
  }

  async send (path: string, { method = 'POST', headers = {}, body }: RequestParts = {}): Promise<Exchange> {
    const text = body === undefined ? '' : JSON.stringify(body)
    const all = { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }
    return this.#protocol === 'HTTP/2' ? await this.#sendHttp2(method, path, all, text) : await this.#sendHttp1(method, path, all, text)
  }

  async #sendHttp1 (method: string, path: string, headers: Record<string, string>, body: string): Promise<Exchange> {
    const { socket, tls } = this.#connect('http/1.1')
    const request = requestHttp1({ method, path, headers: { ...headers, host: this.host, 'content-length': Buffer.byteLength(body) }, createConnection: () => tls })
    request.on('error', () => {})
    request.end(body)
    const [response] = await once(request, 'response')
    return new Exchange(response.statusCode, response.headers, response, how => { how === 'reset' ? socket.resetAndDestroy() : tls.destroy() })
  }

  async #sendHttp2 (method: string, path: string, headers: Record<string, string>, body: string): Promise<Exchange> {
    this.#session ??= connectHttp2(`https://${this.host}`, { createConnection: () => this.#connect('h2').tls })
    this.#session.on('error', () => {})
    const stream = this.#session.request({ ...headers, ':method': method, ':path': path }, { endStream: method === 'GET' })
    if (method !== 'GET') stream.end(body)
    const [{ ':status': status, ...answered }] = await once(stream, 'response')
    return new Exchange(status, answered, stream, how => {
      if (how === 'stream') stream.close(constants.NGHTTP2_CANCEL)
      else this.#session!.destroy()
    })
  }

  #connect (protocol: string): { socket: Socket, tls: Socket } {
    const socket = connectTcp({ port: this.#proxy.port, host: '127.0.0.1', noDelay: true })
    socket.on('error', () => {})
    return { socket, tls: connectTls({ socket, servername: 'localhost', ca: this.#proxy.ca, ALPNProtocols: [protocol] }) }
  }
}
