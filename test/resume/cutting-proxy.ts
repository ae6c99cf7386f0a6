import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** Where a connection is cut. */
export interface Cut {
  /** How many bytes of the response the client gets. */
  readonly after: number
  readonly by: 'FIN' | 'RST'
  /** Leaves the server's side as it is, as a network does that is gone: `read` goes on reading there, `stuck` does not. @default closes it */
  readonly server?: 'read' | 'stuck' | undefined
}

export interface CuttingProxyOptions {
  /** The port of the server. */
  readonly to: number
  /** The first connection is cut by the first, and so on; later ones pass. */
  readonly cuts: readonly Cut[]
  /** Tells clients to come back after 2 ms in place of 2,000, in as many bytes. */
  readonly hurries?: boolean
}

/** A TCP proxy that cuts connections towards the client in the middle of a response. */
export class CuttingProxy {
  /** What each connection has sent. */
  readonly requests: string[] = []
  /** What each connection has got. */
  readonly responses: string[] = []
  /** How many connections were cut. */
  cutCount = 0
  readonly #options: CuttingProxyOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor (options: CuttingProxyOptions) {
    this.#options = options
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, client => this.#onConnection(client))
  }

  get port (): number {
    return (this.#server.address() as AddressInfo).port
  }

  async listen (): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async close (): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server, 'close')
  }

  #onConnection (client: Socket): void {
    const number = this.requests.push('') - 1
    this.responses.push('')
    const cut = this.#options.cuts[number]
    const server = connect({ port: this.#options.to, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
    }
    let left = cut?.after ?? Infinity
    let isCut = false
    client.on('data', (chunk: Buffer) => {
      this.requests[number] += chunk.toString('latin1')
      server.write(chunk)
    })
    client.on('end', () => { if (!isCut) server.end() })
    client.on('close', () => { if (!isCut) server.destroy() })
    server.on('data', (data: Buffer) => {
      if (isCut) return
      const chunk = this.#options.hurries ? Buffer.from(data.toString('latin1').replace('\nretry: 2000\n', '\nretry: 0002\n'), 'latin1') : data
      const passed = chunk.subarray(0, left)
      left -= chunk.length
      this.responses[number] += passed.toString('latin1')
      if (left > 0) {
        if (!client.write(passed)) {
          server.pause()
          client.once('drain', () => server.resume())
        }
        return
      }
      isCut = true
      this.cutCount++
      client.write(passed, () => {
        if (cut!.by === 'FIN') client.end()
        else client.resetAndDestroy()
      })
      if (cut!.server === undefined) server.destroy()
      else if (cut!.server === 'stuck') server.pause()
    })
    server.on('end', () => { if (!isCut) client.end() })
    server.on('close', () => { if (!isCut) client.destroy() })
  }
}
