import { EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { buildApp } from '../../example-app/app.js'
import type { AppOptions } from '../../example-app/app.js'
import { readFrames } from '../../lib/testing/index.js'
import type { Frame } from '../../lib/testing/index.js'

/** The files that the example app comes with. */
export const exampleFiles = fileURLToPath(new URL('../../example-app/files/', import.meta.url))

interface LogLine {
  readonly level: number
  readonly msg: string
  readonly [key: string]: any
}

/** The example app behind a real socket. It closes with the test. */
export class RunningApp {
  readonly logs: LogLine[] = []
  readonly #logged = new EventEmitter()
  url = ''
  port = 0
  instance!: FastifyInstance

  async start (t: Test, filesDir = exampleFiles, options: AppOptions = {}): Promise<this> {
    const stream = new Writable({
      write: (chunk, _encoding, callback) => {
        this.logs.push(JSON.parse(String(chunk)))
        this.#logged.emit('line')
        callback()
      }
    })
    const app = await buildApp({ ...options, filesDir, logger: { level: 'debug', stream } })
    this.instance = app
    t.teardown(() => app.close())
    await app.listen({ port: 0, host: '127.0.0.1' })
    this.port = (app.server.address() as AddressInfo).port
    this.url = `http://127.0.0.1:${this.port}`
    return this
  }

  /** Resolves with a line of the log that has this message: the first one, or that which makes so many. */
  async logged (msg: string, times = 1): Promise<LogLine> {
    for (;;) {
      const found = this.logs.filter(line => line.msg === msg)[times - 1]
      if (found !== undefined) return found
      await once(this.#logged, 'line')
    }
  }

  async post (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return await fetch(this.url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })
  }

  /** The frames of a command that is posted. */
  async run (input: unknown, command = 'process-files'): Promise<Frame[]> {
    return readFrames(await (await this.post(`/commands/${command}`, input)).text())
  }
}
