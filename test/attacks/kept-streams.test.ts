import { once } from 'node:events'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { MemoryStreamLog, commandRoute, defineCommand, streamRoutes } from '../../index.js'
import { createApp, listen } from '../support/app.js'
import { fingerprintOf } from '../../routes/idempotency-key.js'
import { prefersAsync } from '../../routes/prefer.js'
import { faultsOf } from './check-answer.js'
import { exchange } from './http-client.js'
import type { Request } from './http-client.js'
import { keptRows } from './tables/kept-streams.js'
import { lastEventIds } from './tables/last-event-ids.js'

const secret = 'what anna alone may read'
const uncaught: unknown[] = []
process.on('uncaughtExceptionMonitor', error => uncaught.push(error))

const Job = defineCommand({ name: 'job', input: Type.Object({ to: Type.Integer() }), progress: Type.String() })
const Any = defineCommand({ name: 'any', input: Type.Any(), progress: Type.Null() })
const log = new MemoryStreamLog()
const { app } = await createApp(t, {
  streamLog: log,
  onDisconnect: 'continue',
  owner: ({ headers }) => headers['x-nobody'] === undefined ? headers['x-user'] as string : undefined
}, { requestIdHeader: false })
let started = 0
app.mediator.addHandler(Job, async function * ({ to }, { signal }) {
  started++
  yield to === 99 ? secret : 'a'
  if (to === 99) await once(signal, 'abort')
})
app.mediator.addHandler(Any, async function * () { started++ })
for (const method of ['GET', 'POST'] as const) app.route(commandRoute(Job, { url: '/job', method }))
app.route(commandRoute(Job, { url: '/open', owner: 'public' }))
app.route(commandRoute(Any, { url: '/any' }))
await app.register(streamRoutes, { prefix: '/streams' })
await app.register(streamRoutes, { prefix: '/public', owner: 'public' })
const port = await listen(app)

async function begin (path: string, user: string, to: number): Promise<string> {
  const { body } = await exchange(port, { path, headers: [['x-user', user], ['prefer', 'respond-async']], body: JSON.stringify({ to }) })
  return JSON.parse(body.toString()).streamId
}

const ids: Record<string, string> = {
  running: await begin('/job', 'bert', 99),
  ended: await begin('/job', 'bert', 1),
  foreign: await begin('/job', 'anna', 99),
  public: await begin('/open', 'bert', 1),
  gone: 'AAAAAAAAAAAAAAAAAAAAAA'
}
const before = started

function filled (text: string): string {
  return text.replaceAll(/\{(\w+)\}/g, (all, name: string) => ids[name] ?? all)
}

/** Bert's requests, where they do not say whose they are. */
function requestOf ({ method = 'GET', path, headers = [], body }: Pick<Request, 'method' | 'path' | 'headers' | 'body'>): Request {
  const user = headers.some(([name]) => name === 'x-user' || name === 'x-nobody') ? [] : [['x-user', 'bert'] as const]
  const given = headers.map(([name, value]) => [name, filled(value)] as const)
  return { method, path: filled(path), headers: [...user, ...given], ...(body !== undefined && { body: filled(String(body)) }) }
}

t.test('what is sent to kept streams is answered as it deserves, starts what it may, and shows nothing of somebody else', async t => {
  let expected = started
  for (const { name, status, code, type, starts = 0, byRouter = false, ...request } of keptRows) {
    const faults: string[] = []
    try {
      const answer = await exchange(port, requestOf(request))
      expected += starts
      if (answer.status !== status) faults.push(`answers ${answer.status}: ${answer.body.toString('latin1', 0, 300)}`)
      if (!byRouter) faults.push(...faultsOf(answer))
      if (code !== undefined && JSON.parse(answer.body.toString()).code !== code) faults.push(`has the code ${answer.body.toString('latin1', 0, 300)}`)
      if (type !== undefined && !answer.headers.some(([key, value]) => key === 'content-type' && value.startsWith(type))) faults.push('is of another type')
      if (answer.body.includes(secret) || answer.body.includes('anna')) faults.push('shows what is not theirs')
      if (started !== expected) faults.push(`starts ${started - expected + starts} handlers`)
      expected = started
    } catch (error) {
      faults.push(String(error))
    }
    t.strictSame(faults, [], name.replaceAll(/[^ -~]/g, '?').slice(0, 100))
  }
  t.ok(keptRows.length > 200, `${keptRows.length} rows`)
})

t.test('no malformed id reads a stream, or starts one', async t => {
  const expected = started
  for (const { name, request } of lastEventIds.filter(({ status }) => status === 400)) {
    for (const target of [{ method: 'GET', path: '/streams/{ended}' }, { method: 'POST', path: '/job', body: '{"to":1}' }]) {
      const answer = await exchange(port, requestOf({ ...request, ...target, path: `${target.path}${request.path}` }))
      t.equal(answer.status, 400, `${target.method} ${target.path}: ${name}`.replaceAll(/[^ -~]/g, '?'))
      t.strictSame(faultsOf(answer), [])
    }
  }
  t.equal(started, expected)
})

t.test('nobody is told of the streams of somebody else by a list, however long', async t => {
  const seen = new Set<string>()
  for (let after = ''; ;) {
    const { body } = await exchange(port, requestOf({ path: `/streams?limit=7${after}` }))
    const { streams, next } = JSON.parse(body.toString())
    for (const { streamId } of streams) {
      t.notOk(seen.has(streamId))
      seen.add(streamId)
    }
    if (next === null) break
    after = `&after=${next}`
  }
  t.ok(seen.has(ids['running']!) && seen.has(ids['ended']!) && seen.size > 20, `${seen.size} streams`)
  t.notOk(seen.has(ids['foreign']!) || seen.has(ids['public']!))
})

t.test('no Prefer header takes long to read', async t => {
  for (const unit of ['\\"', '"\\', '"', ',', ' ', '\t,', 'respond-async ', '\\', ',"', '",']) {
    const times = [1_000, 16_000].map(length => {
      const text = unit.repeat(length / unit.length)
      return Math.min(...Array.from({ length: 3 }, () => {
        const startedAt = performance.now()
        prefersAsync(`x="${text}`)
        prefersAsync(text)
        return performance.now() - startedAt
      }))
    })
    // What grows with the square takes 256 times as long, and some 100 ms.
    t.ok(times[1]! < 10 + 64 * times[0]!, `${JSON.stringify(unit)}: ${times.map(time => time.toFixed(3)).join(' and ')} ms`.replaceAll('\\t', 'tab'))
  }
})

t.test('an input that JSON cannot write is no input that is nested too deeply', async t => {
  const circular: { self?: unknown } = {}
  circular.self = { circular }
  t.throws(() => fingerprintOf(1n), TypeError)
  t.throws(() => fingerprintOf({ a: circular }), { code: 'FST_ERR_VALIDATION', statusCode: 400 })
})

t.test('nothing is left of the attacks, and the streams are as they were', async t => {
  t.ok(started > before)
  for (const name of ['running', 'foreign']) t.match(await log.stat(ids[name]!), { state: 'running', progressCount: 1 })
  t.match(await log.stat(ids['ended']!), { state: 'completed' })
  t.match(app.mediator.stats(), { streams: 2, detachedHandlers: 0 })
  for (const [name, user] of [['running', 'bert'], ['foreign', 'anna']] as const) {
    const { body } = await exchange(port, { method: 'DELETE', path: `/streams/${ids[name]}`, headers: [['x-user', user]] })
    t.match(JSON.parse(body.toString()), { state: 'cancelled' })
  }
  t.match(app.mediator.stats(), { streams: 0, owners: 0 })
  t.strictSame(uncaught, [])
})
