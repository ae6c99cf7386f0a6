import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** How a server is spoken to; `tls 1.1` is HTTP/1.1 with a server that prefers HTTP/2. */
export type Protocol = 'http/1.1' | 'h2c' | 'h2' | 'tls 1.1'

export interface WireRequest {
  readonly method?: 'GET' | 'POST'
  /** Of a GET with its query. */
  readonly path: string
  readonly body?: unknown
  readonly accept?: string
  /** Does not read the answer. @default true */
  readonly reads?: boolean
}

/** One request on a connection of its own, over any protocol, that can leave in the ways that its protocol knows. */
export interface WireClient {
  /** What has arrived of the answer; over HTTP/1.1 with its head and the lengths of its chunks. */
  readonly text: string
  readonly status: number | undefined
  /** Resolves when what has arrived holds the text. */
  until (text: string): Promise<void>
  /** Resolves when the connection is gone, whoever ended it. */
  closed (): Promise<void>
  destroy (): void
}

/** Sends a request. */
export function wireRequest (protocol: Protocol, port: number, request: WireRequest): WireClient {
  return protocol === 'http/1.1' || protocol === 'tls 1.1' ? new Http1Client(protocol, port, request) : new Http2Client(connectSession(protocol, port), request)
}

/** Opens a session of HTTP/2. */
export function connectSession (protocol: 'h2c' | 'h2', port: number): ClientHttp2Session {
  const session = protocol === 'h2'
    ? connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
    : connectHttp2(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  return session
}

/** Over HTTP/1.1. */
export class Http1Client implements WireClient {
  readonly socket: Socket
  text = ''

  constructor (protocol: 'http/1.1' | 'tls 1.1', port: number, { method = 'POST', path, body, accept, reads = true }: WireRequest) {
    const to = { port, host: '127.0.0.1' }
    this.socket = protocol === 'tls 1.1' ? connectTls({ ...to, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }) : connect(to)
    this.socket.setEncoding('latin1').on('error', () => {})
    if (reads) this.socket.on('data', (chunk: string) => { this.text += chunk })
    else this.socket.pause()
    const text = body === undefined ? '' : JSON.stringify(body)
    const type = body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n`
    this.socket.write(`${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${accept === undefined ? '' : `accept: ${accept}\r\n`}${type}\r\n${text}`)
  }

  get status (): number | undefined {
    return this.text === '' ? undefined : Number(this.text.slice(9, 12))
  }

  async until (text: string): Promise<void> {
    while (!this.text.includes(text)) {
      if (this.socket.closed) throw new Error(`the connection closed before ${JSON.stringify(text)}: ${this.text}`)
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')])
    }
  }

  async closed (): Promise<void> {
    // What has not been read would hide the end.
    this.socket.resume()
    if (!this.socket.closed) await once(this.socket, 'close')
  }

  destroy (): void {
    this.socket.destroy()
  }
}

/** Over HTTP/2. */
export class Http2Client implements WireClient {
  readonly session: ClientHttp2Session
  readonly stream: ClientHttp2Stream
  text = ''
  status: number | undefined

  constructor (session: ClientHttp2Session, { method = 'POST', path, body, accept, reads = true }: WireRequest) {
    this.session = session
    this.stream = session.request({
      ':method': method,
      ':path': path,
      ...(accept !== undefined && { accept }),
      ...(body !== undefined && { 'content-type': 'application/json' })
    }, { endStream: body === undefined })
    this.stream.setEncoding('utf8').on('error', () => {})
    this.stream.on('response', (headers: IncomingHttpHeaders & IncomingHttpStatusHeader) => { this.status = headers[':status'] })
    if (reads) this.stream.on('data', (chunk: string) => { this.text += chunk })
    if (body !== undefined) this.stream.end(JSON.stringify(body))
  }

  async until (text: string): Promise<void> {
    while (!this.text.includes(text)) {
      if (this.stream.closed) throw new Error(`the stream closed before ${JSON.stringify(text)}: ${this.text}`)
      await Promise.race([once(this.stream, 'data'), once(this.stream, 'close')])
    }
  }

  async closed (): Promise<void> {
    // A stream that has not been read keeps its session.
    this.stream.resume()
    if (!this.session.destroyed) await once(this.session, 'close')
  }

  destroy (): void {
    this.session.destroy()
  }
}
