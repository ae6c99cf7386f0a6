import { once } from 'node:events'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { MemoryStreamLog, commandRoute, streamRoutes } from '../../index.js'
import type { MemoryStreamLogOptions, OwnerOption, StreamingMediatorOptions } from '../../index.js'
import { Count, createApp, deferred } from './app.js'
import type { LogLine } from './app.js'
import { ManualClock } from './manual-clock.js'

/** An app that keeps its streams. */
export interface KeptApp {
  readonly app: FastifyInstance
  readonly logs: LogLine[]
  readonly log: MemoryStreamLog
  /** The time of the log. */
  readonly clock: ManualClock
  /** The inputs that a handler was started with. */
  readonly started: unknown[]
  /** What the handlers wait for after their first progress. */
  readonly gate: ReturnType<typeof deferred<void>>
  /** Adds the routes, after the plugins of the test: `POST /count`, and those of `/streams`. */
  ready (): Promise<void>
  /** Starts a stream and gives its id; it runs up to the gate, or to its end where the gate is open. */
  start (headers?: Record<string, string>, to?: number): Promise<string>
  /** Starts a stream and waits for its end. */
  run (headers?: Record<string, string>, to?: number): Promise<string>
}

export interface KeptAppOptions {
  readonly plugin?: StreamingMediatorOptions
  readonly server?: FastifyServerOptions
  readonly log?: MemoryStreamLogOptions
  readonly route?: object
  /** Of the routes at `/streams`. */
  readonly owner?: OwnerOption
}

/** The owner of a request is what its header `x-user` says. */
export function headerOwner ({ headers }: { readonly headers: Record<string, string | string[] | undefined> }): string | undefined {
  return headers['x-user'] as string | undefined
}

/** An app whose one command counts, and keeps its streams. */
export async function createKeptApp (t: Test, { plugin, server, log: logOptions, route, owner }: KeptAppOptions = {}): Promise<KeptApp> {
  const clock = new ManualClock()
  const log = new MemoryStreamLog(logOptions, clock)
  const { app, logs } = await createApp(t, { owner: headerOwner, onDisconnect: 'continue', streamLog: log, ...plugin }, server)
  const started: unknown[] = []
  const gate = deferred()
  app.mediator.addHandler(Count, async function * (input, { signal }) {
    started.push(input)
    const aborted = once(signal, 'abort')
    for (let n = 1; n <= input.to; n++) {
      yield { n }
      if (n === 1) await Promise.race([gate.promise, aborted])
    }
    if (input.to === 404) throw Object.assign(new Error('Nothing to count'), { statusCode: 404 })
    return { total: input.to }
  })
  const start = async (headers: Record<string, string> = {}, to = 2): Promise<string> => {
    const response = await app.inject({ method: 'POST', url: '/count', payload: { to }, headers: { prefer: 'respond-async', ...headers } })
    if (response.statusCode !== 202) throw new Error(response.body)
    return response.json<{ streamId: string }>().streamId
  }
  return {
    app,
    logs,
    log,
    clock,
    started,
    gate,
    ready: async () => {
      app.route(commandRoute(Count, { url: '/count', ...route }))
      await app.register(streamRoutes, { prefix: '/streams', ...(owner !== undefined && { owner }) })
    },
    start,
    run: async (headers, to) => {
      const streamId = await start(headers, to)
      const reader = await log.read(streamId, { after: (await log.stat(streamId))?.last })
      while (!reader.ended) {
        if (reader.take().length === 0) await new Promise<void>(resolve => reader.onReady(resolve))
      }
      reader.close()
      return streamId
    }
  }
}
