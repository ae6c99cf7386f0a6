import { randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { MemoryStreamLog, commandRoute, streamRoutes } from '../../index.js'
import type { MemoryStreamLogOptions, StreamingMediatorOptions } from '../../index.js'
import { Count, createApp, listen } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import { ManualClock } from '../support/manual-clock.js'
import { nothing } from '../support/stream-ends.js'
import type { Arrived } from './resuming-clients.js'

/** How many progress frames a stream has: 20 frames with its start and its end. */
export const progressCount = 18
export const frameCount = progressCount + 2

export interface SubjectOptions {
  /** Awaited before each progress, and with `progressCount + 1` before the end. @default nothing: all frames are there at once */
  readonly pace?: (n: number, label: string) => Promise<unknown> | undefined
  /** In each progress. @default characters of two and of four bytes, which a cut parts */
  readonly text?: string
  readonly plugin?: StreamingMediatorOptions
  readonly log?: MemoryStreamLogOptions
  readonly server?: FastifyServerOptions
}

/** The ways to a stream. Each gives the path of a new one. */
export type Way = 'stream url' | 'keyed' | 'keyless'

/** An app whose streams are kept, and a ledger of what its handler did. */
export class Subject {
  readonly app: FastifyInstance
  readonly logs: LogLine[]
  readonly streamLog: MemoryStreamLog
  readonly clock: ManualClock
  /** How often the handler ran, by the label of its input. */
  readonly runs = new Map<string, number>()
  /** The labels of the streams whose handlers have not ended. */
  readonly running = new Set<string>()
  port = 0
  readonly #warnings: unknown[] = []
  readonly #text: string
  #labels = 0

  static async create (t: Test, { pace = () => undefined, text = 'ä😀', plugin, log, server }: SubjectOptions = {}): Promise<Subject> {
    const clock = new ManualClock()
    const streamLog = new (MemoryStreamLog as new (options?: MemoryStreamLogOptions, clock?: ManualClock) => MemoryStreamLog)(log, clock)
    const { app, logs } = await createApp(t, { streamLog, owner: 'public', onDisconnect: 'continue', ...plugin }, server)
    const subject = new Subject(app, logs, streamLog, clock, text)
    app.mediator.addHandler(Count, async function * ({ to, label }) {
      subject.runs.set(label, subject.runsOf(label) + 1)
      subject.running.add(label)
      try {
        for (let n = 1; n <= to; n++) {
          const wait = pace(n, label)
          if (wait !== undefined) await wait
          yield { n, text }
        }
        await pace(to + 1, label)
        return { total: to }
      } finally {
        subject.running.delete(label)
      }
    })
    app.route(commandRoute(Count, { url: '/count' }))
    app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
    await app.register(streamRoutes, { prefix: '/streams' })
    subject.port = await listen(app)
    const onWarning = (warning: Error & { code?: string }): void => { if (warning.code !== 'UNDICI-ES') subject.#warnings.push(warning) }
    process.on('warning', onWarning)
    t.teardown(() => process.off('warning', onWarning))
    return subject
  }

  constructor (app: FastifyInstance, logs: LogLine[], streamLog: MemoryStreamLog, clock: ManualClock, text: string) {
    this.#text = text
    this.app = app
    this.logs = logs
    this.streamLog = streamLog
    this.clock = clock
  }

  newLabel (): string {
    return `stream-${++this.#labels}`
  }

  runsOf (label: string): number {
    return this.runs.get(label) ?? 0
  }

  /** The path of a stream that has not begun, but for one that is read at its own url. */
  async pathTo (way: Way, label: string): Promise<string> {
    if (way === 'stream url') return await this.begin(label)
    return `/count?to=${progressCount}&label=${label}${way === 'keyed' ? `&idempotencyKey=${randomUUID()}` : ''}`
  }

  /** Begins a stream without a reader, and gives its path. */
  async begin (label: string, to = progressCount): Promise<string> {
    const response = await this.app.inject({ method: 'POST', url: '/count', payload: { to, label }, headers: { prefer: 'respond-async' } })
    return String(response.headers.location)
  }

  /** What is wrong with what a client was told of a stream, or undefined. */
  faultOf (arrived: readonly Arrived[], label: string, { runs = 1, to = progressCount } = {}): string | undefined {
    const { streamId } = (arrived[0]?.data ?? {}) as { streamId?: string }
    const expected = [
      ['start', `${streamId}.1`],
      ...Array.from({ length: to }, (_, index) => ['progress', `${streamId}.${index + 2}`, { n: index + 1, text: this.#text }]),
      ['complete', `${streamId}.${to + 2}.end`, { total: to }]
    ]
    const got = arrived.map(({ event, id, data }) => event === 'start' ? [event, id] : [event, id, data])
    if (JSON.stringify(got) !== JSON.stringify(expected)) return `got ${JSON.stringify(got)}`
    return this.runsOf(label) === runs ? undefined : `ran ${this.runsOf(label)} times, not ${runs}`
  }

  /** Waits until all is over, lets the log forget it, and checks that nothing is left of it. */
  async assertNothingLeft (t: Test): Promise<void> {
    while (this.app.mediator.stats().streams > 0 || this.running.size > 0) await turn()
    await this.#connectionsClosed()
    this.clock.advance(60_000)
    t.strictSame(this.app.mediator.stats(), nothing)
    // A reader that is still there would keep its stream's bytes.
    t.strictSame([this.streamLog.size, this.streamLog.heldBytes, this.clock.timers], [0, 0, 0], 'no streams, readers and timers in the log')
    t.strictSame(this.logs.filter(({ level }) => level >= 40), [])
    t.strictSame(this.#warnings, [])
    await this.app.close()
  }

  async #connectionsClosed (): Promise<void> {
    this.app.server.closeIdleConnections?.()
    const count = async (): Promise<number> => await new Promise((resolve, reject) => {
      this.app.server.getConnections((error, count) => error ? reject(error) : resolve(count))
    })
    while (await count() > 0) await turn()
  }
}

/** Rejects where a promise takes longer, so that a test says which one did. */
export async function within<T> (ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => reject(new Error(`not over after ${ms} ms`)), ms) })
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
