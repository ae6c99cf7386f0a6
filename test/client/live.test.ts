import { once } from 'node:events'
import t from 'tap'
import type { Test } from 'tap'
import { ClientError, createClient } from '../../lib/client/index.js'
import type { Client, ClientOptions, ClientStream } from '../../lib/client/index.js'
import { commandRoutes, defineCommand } from '../../index.js'
import type { StreamingMediatorOptions } from '../../index.js'
import { Add, Count, Watch, deferred } from '../support/app.js'
import { CuttingProxy } from '../support/cutting-proxy.js'
import { createKept, portOf } from '../support/kept.js'
import type { KeptApp } from '../support/kept.js'
import { Type } from '@sinclair/typebox'

type Contracts = { count: typeof Count, watch: typeof Watch, add: typeof Add, dated: typeof Dated }

const Dated = defineCommand({
  name: 'dated',
  input: Type.Object({ at: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) }),
  result: Type.Object({ at: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) })
})

// Fast, because nothing here depends on how long it waits.
const reconnect = { delayMs: 10, maxDelayMs: 20, minDelayMs: 10 }

interface Subject extends KeptApp {
  readonly client: Client<Contracts>
  readonly proxy: CuttingProxy
  /** What the handler of `count` waits for before each progress but the first. */
  readonly gate: { promise: Promise<void>, resolve: () => void }
  readonly started: unknown[]
}

async function createSubject (t: Test, options: StreamingMediatorOptions = {}, client: Partial<ClientOptions> = {}): Promise<Subject> {
  const kept = await createKept(t, options)
  const gate = deferred()
  const started: unknown[] = []
  kept.app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    started.push(to)
    const aborted = once(signal, 'abort')
    if (to === 404) throw Object.assign(new Error('Nothing to count'), { statusCode: 404, code: 'NOTHING' })
    for (let n = 1; n <= to; n++) {
      if (n === 2) await Promise.race([gate.promise, aborted])
      yield { n }
    }
    if (to === 409) throw Object.assign(new Error('Counted too far'), { statusCode: 409, code: 'TOO_FAR' })
    return { total: to }
  })
  kept.app.mediator.addHandler(Watch, async function * ({ to }, { resumeAfter }) {
    yield { event: 'tock', data: { after: resumeAfter ?? null } }
    for (let n = 1; n <= to; n++) yield { event: 'tick', data: { n } }
    if (resumeAfter === undefined) await gate.promise
    return null
  })
  kept.app.mediator.addHandler(Add, ({ a, b }) => {
    started.push([a, b])
    return a + b
  })
  kept.app.mediator.addHandler(Dated, ({ at }) => ({ at }))
  await kept.app.register(commandRoutes, {
    prefix: '/commands', commands: [{ command: Count, crossSite: true }, { command: Watch, onDisconnect: 'abort' }, { command: Add, method: 'GET' }, Dated]
  })
  const proxy = await new CuttingProxy().start(t, await portOf(kept.app))
  return { ...kept, gate, started, proxy, client: createClient<Contracts>({ baseUrl: `${proxy.url}/commands/`, reconnect, ...client }) }
}

async function read<P> (stream: ClientStream<P, unknown>, onProgress: (progress: P) => unknown = () => {}): Promise<P[]> {
  const all: P[] = []
  for await (const progress of stream) {
    all.push(progress)
    await onProgress(progress)
  }
  return all
}

async function errorOf (promise: Promise<unknown>): Promise<ClientError> {
  return await promise.then(() => { throw new Error('It did not fail') }, error => error)
}

t.test('streams progress and result, and tells how it stands', async t => {
  const { client, gate } = await createSubject(t)
  gate.resolve()
  const stream = client.stream('count', { to: 3, label: 'n' })
  const states: string[] = [stream.state]
  stream.onStateChange = state => states.push(state)
  t.strictSame(await read(stream), [{ n: 1 }, { n: 2 }, { n: 3 }])
  t.strictSame(await stream.result, { total: 3 })
  t.strictSame(states, ['idle', 'connecting', 'open', 'complete'])
  t.match(stream, { state: 'complete', attempt: 1, streamId: /^[\w-]{22}$/, url: `/streams/${stream.streamId}`, lastEventId: `${stream.streamId}.5.end` })
  t.throws(() => stream[Symbol.asyncIterator](), TypeError)
})

t.test('goes on where it was when its connection is cut', async t => {
  const { client, gate, proxy, started } = await createSubject(t)
  const stream = client.stream('count', { to: 5, label: 'n' })
  const reconnects: unknown[] = []
  stream.onReconnect = ({ attempt, error }) => reconnects.push([attempt, error.code])
  const all = await read(stream, ({ n }) => {
    if (n !== 1) return
    proxy.cut()
    gate.resolve()
  })
  t.strictSame(all, [1, 2, 3, 4, 5].map(n => ({ n })))
  t.strictSame(await stream.result, { total: 5 })
  t.strictSame(reconnects, [[1, 'CLIENT_ERR_CONNECTION']])
  t.strictSame(started, [5])
})
