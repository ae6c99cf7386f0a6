import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Test } from 'tap'

/** Passes connections on to a server, until they are cut. It closes with the test. */
export class CuttingProxy {
  readonly #sockets = new Set<Socket>()
  #refuses = false
  #losesAnswers = false
  #frozen = false
  #port = 0
  url = ''

  async start (t: Test, port: number): Promise<this> {
    this.#port = port
    const server = createServer(client => {
      if (this.#refuses) {
        client.resetAndDestroy()
        return
      }
      const app = connect(this.#port, '127.0.0.1')
      app.on('data', () => {
        if (this.#losesAnswers) client.destroy()
      })
      if (!this.#frozen) client.pipe(app).pipe(client)
      for (const [socket, other] of [[client, app], [app, client]] as const) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          other.destroy()
        })
      }
    })
    server.listen(0, '127.0.0.1')
    t.teardown(() => {
      this.cut()
      server.close()
    })
    await once(server, 'listening')
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return this
  }

  /** Cuts all connections, as a proxy does that is restarted. */
  cut (): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Cuts all connections and resets each new one, until `mend`. */
  break (): void {
    this.#refuses = true
    this.cut()
  }

  /** Passes nothing on any more and closes nothing, as a network does that is gone, until `mend`; what is open by then stays so. */
  freeze (): void {
    this.#frozen = true
    for (const socket of this.#sockets) socket.unpipe().pause()
  }

  /** Passes new connections on to another server. */
  leadTo (port: number): void {
    this.#port = port
  }

  /** Passes requests on, and cuts their connections before the answer, until `mend`. */
  loseAnswers (): void {
    this.#losesAnswers = true
  }

  mend (): void {
    this.#refuses = false
    this.#losesAnswers = false
    this.#frozen = false
  }
}
