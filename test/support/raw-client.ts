import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** A connection that shows each chunk as it arrives and can be stopped, reset or left unread. */
export class RawClient {
  readonly socket: Socket
  /** Each `data` event of the socket. */
  readonly chunks: string[] = []

  constructor (port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.setEncoding('latin1')
    this.socket.on('error', () => {})
    this.socket.on('data', (chunk: string) => this.chunks.push(chunk))
  }

  get text (): string {
    return this.chunks.join('')
  }

  /** The body of a chunked response, as far as it has arrived. */
  get body (): string {
    return this.text.slice(this.text.indexOf('\r\n\r\n') + 4).split('\r\n').filter((_, index) => index % 2 === 1).join('')
  }

  request (method: string, path: string, { headers = {}, body }: { headers?: Record<string, string>, body?: unknown } = {}): void {
    const text = body === undefined ? '' : JSON.stringify(body)
    const all = {
      host: 'localhost',
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
      ...headers
    }
    this.socket.write(`${method} ${path} HTTP/1.1\r\n${Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${text}`)
  }

  /** Resolves when what has arrived holds the text. */
  async until (text: string): Promise<void> {
    while (!this.text.includes(text)) {
      if (this.socket.closed) throw new Error(`the connection closed before ${JSON.stringify(text)}: ${this.text}`)
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')])
    }
  }

  /** Resolves when the connection is closed. */
  async closed (): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close')
  }
}
