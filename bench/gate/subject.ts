import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { ask, start } from '../child.js'
import type { Usage } from './serve.js'

// Of the end of a stream, which holds its last event and its terminal frame.
const tailBytes = 4_096
const silenceMs = 30_000

/** A server that is measured, in a process of its own. */
export class Subject {
  readonly #child: ChildProcess
  readonly #port: number

  private constructor (child: ChildProcess, port: number) {
    this.#child = child
    this.#port = port
  }

  static async start (file: string, execArgv: readonly string[]): Promise<Subject> {
    const child = start(`gate/${file}`, { execArgv })
    const [{ port }] = await once(child, 'message') as [{ port: number }]
    return new Subject(child, port)
  }

  async usage (moment: 'before' | 'after'): Promise<Usage> {
    return await ask<Usage>(this.#child, moment)
  }

  /** Reads a whole stream over a connection of its own, and resolves with the milliseconds until its first event. */
  async read (count: number): Promise<number> {
    const socket = connect(this.#port, '127.0.0.1')
    const startedAt = performance.now()
    let firstMs: number | undefined
    let head = ''
    let tail = ''
    socket.on('data', (chunk: Buffer) => {
      if (firstMs === undefined) {
        head += chunk.toString('latin1', 0, Math.min(chunk.length, 4_096))
        if (head.includes('event: progress')) firstMs = performance.now() - startedAt
      }
      tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - tailBytes))).slice(-tailBytes)
    })
    socket.setTimeout(silenceMs, () => { socket.destroy(new Error(`a stream was silent for ${silenceMs} ms`)) })
    socket.write(`GET /?count=${count} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    await once(socket, 'close')
    // Without its end, less was done than is paid for.
    if (firstMs === undefined || !tail.includes(`"n":${count - 1},`) || !tail.includes('event: complete')) {
      throw new Error(`a stream of ${count} events was not complete: ${head.slice(0, 1_000)}`)
    }
    return firstMs
  }

  stop (): void {
    this.#child.disconnect()
  }
}
