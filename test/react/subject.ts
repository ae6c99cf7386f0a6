import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { commandRoutes } from '../../index.js'
import type { StreamingMediatorOptions } from '../../index.js'
import { createClient } from '../../lib/client/index.js'
import type { Client } from '../../lib/client/index.js'
import { Add, Count, Watch, deferred } from '../support/app.js'
import { CuttingProxy } from '../support/cutting-proxy.js'
import { createKept, portOf } from '../support/kept.js'
import type { KeptApp } from '../support/kept.js'
import { tabStorage } from './hook-page.js'

export type Contracts = { count: typeof Count, watch: typeof Watch, add: typeof Add }

/** An app whose command counts, and a client of it behind a proxy. */
export interface Subject extends KeptApp {
  readonly client: Client<Contracts>
  /** Of the app itself, without the proxy. */
  readonly address: string
  readonly proxy: CuttingProxy
  /** Awaited before the second progress. */
  readonly gate: ReturnType<typeof deferred<void>>
  /** What the handler was started with. */
  readonly started: number[]
  /** Resolves when the handler was started so often. */
  untilStarted (times: number): Promise<void>
}

/** `count` tells 1, waits for the gate, and tells the rest. 404 and 409 fail, before the first progress and at the end; 1,000 waits before the first. */
export async function createSubject (t: Test, options: StreamingMediatorOptions = {}, addRoutes?: (app: FastifyInstance) => void): Promise<Subject> {
  tabStorage().clear()
  const kept = await createKept(t, options)
  const gate = deferred()
  const started: number[] = []
  let onStart = (): void => {}
  kept.app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    started.push(to)
    onStart()
    const aborted = once(signal, 'abort')
    if (to === 404) throw Object.assign(new Error('Nothing to count'), { statusCode: 404, code: 'NOTHING' })
    if (to === 1_000) await Promise.race([gate.promise, aborted])
    for (let n = 1; n <= to; n++) {
      if (n === 2) await Promise.race([gate.promise, aborted])
      yield { n }
    }
    if (to === 409) throw Object.assign(new Error('Counted too far'), { statusCode: 409, code: 'TOO_FAR' })
    return { total: to }
  })
  kept.app.mediator.addHandler(Watch, async function * ({ to }) {
    for (let n = 1; n <= to; n++) yield { event: 'tick', data: { n } }
    return null
  })
  kept.app.mediator.addHandler(Add, ({ a, b }) => a + b)
  await kept.app.register(commandRoutes, { prefix: '/commands', commands: [Count, Watch, Add] })
  addRoutes?.(kept.app)
  const port = await portOf(kept.app)
  const proxy = await new CuttingProxy().start(t, port)
  // Fast, because nothing here depends on how long it waits.
  const client = createClient<Contracts>({ baseUrl: `${proxy.url}/commands`, reconnect: { delayMs: 10, maxDelayMs: 20, minDelayMs: 10 } })
  return {
    ...kept,
    client,
    address: `http://127.0.0.1:${port}`,
    proxy,
    gate,
    started,
    untilStarted: async times => {
      while (started.length < times) await new Promise<void>(resolve => { onStart = resolve })
    }
  }
}

/** The numbers that a page shows. */
export function numbers ({ progress }: { readonly progress: ReadonlyArray<{ readonly n: number }> }): number[] {
  return progress.map(({ n }) => n)
}
