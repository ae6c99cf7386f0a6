import { EventEmitter, once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { commandRoute } from '../../index.js'
import type { Handler, StreamEnd, StreamingMediatorOptions } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { pageAt, root } from '../docs/pages.js'
import { Add, Count, createApp, deferred, listen } from '../support/app.js'
import { namesOf } from '../support/frames.js'
import { findProgram } from '../support/server-program.js'
import { startProxy } from './proxy.js'
import type { ProxyKind, ProxyOptions, RunningProxy } from './proxy.js'
import { ProxyClient } from './proxy-client.js'
import type { Exchange, Leaving, Protocol } from './proxy-client.js'

const protocols: readonly Protocol[] = ['HTTP/1.1', 'HTTP/2']
const sse = { accept: 'text/event-stream' }

/** What holds behind every proxy that is configured as the page says. */
export async function testProxy (kind: ProxyKind, rest: (t: Test) => void = () => {}): Promise<void> {
  t.test(`the page shows the configuration of ${kind.name} that is tested`, async t => {
    const shown = pageAt('docs/guides/deployment.md').blocks.map(({ text }) => text)
    t.ok(shown.includes(await readFile(join(root, kind.file), 'utf8')), kind.file)
  })

  const missing = await findProgram(kind.name) === undefined
  // Nothing is skipped in CI: there the tests fail where it is missing.
  const skip = missing && process.env['CI'] === undefined
    ? `NOT TESTED: ${kind.name} is not installed. Install it (Debian: apt-get install ${kind.name}) to test behind it`
    : false
  if (skip) console.error(skip)
  t.test(`behind ${kind.name}`, { skip }, async t => {
    for (const protocol of protocols) {
      testLatency(t, kind, protocol, 'text/event-stream')
      testLatency(t, kind, protocol, 'application/x-ndjson')
      testAnswers(t, kind, protocol)
      testLeaving(t, kind, protocol)
      testHeartbeats(t, kind, protocol)
      testSlowResult(t, kind, protocol)
      testStalledReader(t, kind, protocol)
      testShutdown(t, kind, protocol)
    }
    testManyStreams(t, kind)
    rest(t)
  })
}

const untilAborted: Handler<typeof Count> = async function * (_input, { signal }) {
  yield { n: 1 }
  await once(signal, 'abort')
  return { total: 1 }
}

/** An app behind a proxy. */
interface Stage {
  readonly app: FastifyInstance
  readonly appPort: number
  readonly proxy: RunningProxy
  /** The streams that are over. */
  readonly ends: StreamEnd[]
  /** Resolves when so many streams are over. */
  ended (count: number): Promise<void>
}

type StageOptions = StreamingMediatorOptions & ProxyOptions

export async function setStage (t: Test, kind: ProxyKind, count: Handler<typeof Count>, { silenceMs, edit, ...options }: StageOptions = {}): Promise<Stage> {
  const { app } = await createApp(t, options, { trustProxy: '127.0.0.1' })
  const ends: StreamEnd[] = []
  const over = new EventEmitter()
  app.mediator.onStreamEnd(end => {
    ends.push(end)
    over.emit('end')
  })
  app.get('/seen', async ({ ip, host, protocol }) => ({ ip, host, protocol }))
  app.mediator.addHandler(Add, async ({ a, b }) => {
    if (b === 0) throw Object.assign(new Error('b must not be 0'), { statusCode: 404, code: 'NO_ZERO' })
    return a + b
  })
  app.mediator.addHandler(Count, count)
  app.route(commandRoute(Add, { url: '/add' }))
  app.route(commandRoute(Add, { url: '/add', method: 'GET' }))
  app.route(commandRoute(Count, { url: '/count' }))
  app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
  const appPort = await listen(app)
  const proxy = await startProxy(t, kind, appPort, { ...(silenceMs !== undefined && { silenceMs }), ...(edit !== undefined && { edit }) })
  return {
    app,
    appPort,
    proxy,
    ends,
    async ended (count) {
      while (ends.length < count) await once(over, 'end')
    }
  }
}

interface LatencyOptions {
  readonly edit?: (config: string) => string
  /** How the proxy compresses the answer. */
  readonly encoding?: string
}

/** The client takes compressed answers, as browsers do. */
export function testLatency (t: Test, kind: ProxyKind, protocol: Protocol, accept: string, { edit, encoding }: LatencyOptions = {}): void {
  t.test(`over ${protocol} each frame of ${accept} arrives within 50 ms of its write${encoding === undefined ? '' : `, in ${encoding}`}`, async t => {
    // The next frame is written when the one before has arrived: a frame that is held back would be waited for in vain.
    let arrived = deferred()
    let writtenAt = 0
    const { proxy } = await setStage(t, kind, async function * ({ to }) {
      for (let n = 1; n <= to; n++) {
        arrived = deferred()
        writtenAt = performance.now()
        yield { n }
        await arrived.promise
      }
      return { total: to }
    }, { ...(edit !== undefined && { edit }) })
    const client = new ProxyClient(t, proxy, protocol)
    const frames = 50
    const attempts: number[] = []
    for (let attempt = 1; attempt <= 5 && !(Math.min(...attempts) <= 50); attempt++) {
      const latencies: number[] = []
      const answer = await client.send('/count', { headers: { accept, 'accept-encoding': 'gzip' }, body: { to: frames } })
      t.equal(answer.headers['content-encoding'], encoding)
      answer.onText(() => {
        if (!answer.text.includes(`"n":${latencies.length + 1}`)) return
        latencies.push(performance.now() - writtenAt)
        arrived.resolve()
      })
      t.match(await answer.end(), /complete/)
      t.equal(latencies.length, frames)
      latencies.sort((a, b) => a - b)
      attempts.push(latencies.at(-1)!)
      t.comment(`${kind.name}, ${protocol}, ${accept}${encoding === undefined ? '' : `, ${encoding}`}: median ${latencies[frames / 2]!.toFixed(2)} ms, longest ${latencies.at(-1)!.toFixed(2)} ms`)
    }
    t.ok(Math.min(...attempts) <= 50, `the longest of ${frames}: ${attempts.map(ms => ms.toFixed(2)).join(', ')} ms`)
  })
}

function testAnswers (t: Test, kind: ProxyKind, protocol: Protocol): void {
  t.test(`over ${protocol} results and problems arrive as the app sent them`, async t => {
    const { appPort, proxy } = await setStage(t, kind, untilAborted, { maxStreams: 1 })
    const client = new ProxyClient(t, proxy, protocol)
    const compare = async (body: unknown, status: number): Promise<void> => {
      const answer = await client.send('/add', { body })
      const direct = await fetch(`http://127.0.0.1:${appPort}/add`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
      t.equal(answer.status, status)
      t.equal(direct.status, status)
      t.equal(withoutId(await answer.end()), withoutId(await direct.text()))
      for (const name of ['content-type', 'cache-control', 'vary', 'x-content-type-options']) {
        t.equal(answer.headers[name] ?? null, direct.headers.get(name), name)
      }
      // It is another number each time.
      t.equal(answer.headers['retry-after'] === undefined, status !== 503)
    }
    await compare({ a: 1, b: 2 }, 200)
    await compare({ a: 'x', b: 2 }, 400)
    await compare({ a: 1, b: 0 }, 404)
    const stream = await client.send('/count', { headers: sse, body: { to: 1 } })
    t.match(stream.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-store, no-transform' })
    await stream.until('"n":1')
    await compare({ a: 1, b: 2 }, 503)
    stream.leave('close')
  })

  t.test(`over ${protocol} the app sees the client's address and the host that it asked`, async t => {
    const { proxy } = await setStage(t, kind, untilAborted)
    const client = new ProxyClient(t, proxy, protocol)
    const forged = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' }
    for (const headers of [{}, forged]) {
      const seen = await client.send('/seen', { method: 'GET', headers })
      t.same(JSON.parse(await seen.end()), { ip: '127.0.0.1', host: client.host, protocol: 'https' })
    }
    const ask = async (origin: string): Promise<number> => {
      const answer = await client.send('/add?a=1&b=2', { method: 'GET', headers: { origin } })
      await answer.end()
      return answer.status
    }
    t.equal(await ask(`https://${client.host}`), 200, 'its own pages may run a command by GET')
    t.equal(await ask('https://evil.example'), 403, 'those of other sites may not')
  })
}

function testLeaving (t: Test, kind: ProxyKind, protocol: Protocol): void {
  const ways: readonly Leaving[] = protocol === 'HTTP/2' ? ['stream', 'close'] : ['close', 'reset']
  for (const how of ways) {
    t.test(`over ${protocol} a client that leaves ends the handler (${how})`, async t => {
      const leftAt = deferred<number>()
      const { proxy, ends, ended } = await setStage(t, kind, async function * (_input, { signal }) {
        yield { n: 1 }
        await once(signal, 'abort')
        t.comment(`${kind.name}, ${protocol}, ${how}: the handler knew after ${(performance.now() - await leftAt.promise).toFixed(1)} ms`)
        return { total: 1 }
      })
      const client = new ProxyClient(t, proxy, protocol)
      const answer = await client.send('/count', { headers: sse, body: { to: 1 } })
      await answer.until('"n":1')
      leftAt.resolve(performance.now())
      answer.leave(how)
      await ended(1)
      t.match(ends, [{ reason: 'client-closed' }])
    })
  }
}

function testHeartbeats (t: Test, kind: ProxyKind, protocol: Protocol): void {
  t.test(`over ${protocol} heartbeats keep a stream that is silent for longer than the proxy waits`, async t => {
    const beaten = deferred()
    const { proxy } = await setStage(t, kind, async function * () {
      yield { n: 1 }
      await beaten.promise
      return { total: 1 }
    }, { silenceMs: 1_000, heartbeatMs: 250 })
    const answer = await new ProxyClient(t, proxy, protocol).send('/count', { headers: sse, body: { to: 1 } })
    await answer.until('\n:\n', 6)
    beaten.resolve()
    t.same(namesOf(readFrames(await answer.end())), ['start', 'progress', 'complete'])
    t.equal(answer.whole, true)
  })

  t.test(`over ${protocol} the proxy cuts a stream that is silent for longer, and its handler ends`, async t => {
    const { proxy, ends, ended } = await setStage(t, kind, untilAborted, { silenceMs: 1_000 })
    const answer = await new ProxyClient(t, proxy, protocol).send('/count', { headers: sse, body: { to: 1 } })
    t.same(namesOf(readFrames(await answer.end())), ['start', 'progress'])
    t.comment(`${kind.name}, ${protocol}: what was cut ${answer.whole ? 'looks like a whole answer' : 'is an error for its client'}`)
    await ended(1)
    t.match(ends, [{ reason: 'client-closed' }])
  })
}

function testSlowResult (t: Test, kind: ProxyKind, protocol: Protocol): void {
  t.test(`over ${protocol} a result that takes longer than the proxy waits is a 502 or 504, and its handler ends`, async t => {
    const { proxy, ends, ended } = await setStage(t, kind, untilAborted, { silenceMs: 1_000 })
    const answer = await new ProxyClient(t, proxy, protocol).send('/count', { headers: { accept: 'application/json' }, body: { to: 1 } })
    t.ok([502, 504].includes(answer.status), String(answer.status))
    await ended(1)
    t.match(ends, [{ reason: 'client-closed' }])
  })
}

function testStalledReader (t: Test, kind: ProxyKind, protocol: Protocol): void {
  t.test(`over ${protocol} a client that does not read stops the handler through the proxy, and is cut`, async t => {
    const text = 'x'.repeat(65_536)
    const { proxy, ends, ended } = await setStage(t, kind, async function * (_input, { signal }) {
      for (let n = 1; !signal.aborted; n++) yield { n, text }
      return { total: 0 }
    }, { stallTimeoutMs: 500 })
    const answer = await new ProxyClient(t, proxy, protocol).send('/count', { headers: sse, body: { to: 1 } })
    answer.stopReading()
    await ended(1)
    t.match(ends, [{ reason: 'stalled' }])
    t.comment(`${kind.name}, ${protocol}: ${(ends[0]!.bytes / 2 ** 20).toFixed(1)} MiB were written`)
    answer.leave('close')
  })
}

function testShutdown (t: Test, kind: ProxyKind, protocol: Protocol): void {
  t.test(`over ${protocol} the last frame of an app that closes arrives`, async t => {
    const { app, proxy, ends } = await setStage(t, kind, untilAborted)
    const client = new ProxyClient(t, proxy, protocol)
    const answers = await Promise.all(Array.from({ length: 5 }, async () => await client.send('/count', { headers: sse, body: { to: 1 } })))
    await Promise.all(answers.map(async answer => await answer.until('"n":1')))
    await app.close()
    for (const answer of answers) {
      const frames = readFrames(await answer.end())
      t.same(namesOf(frames), ['start', 'progress', 'failed'])
      t.match(frames.at(-1), { data: { code: 'MEDIATOR_ERR_SHUTTING_DOWN', retryable: true } })
      t.equal(answer.whole, true)
    }
    t.ok(ends.every(({ reason }) => reason === 'shutdown'))
  })
}

function testManyStreams (t: Test, kind: ProxyKind): void {
  t.test('twenty streams run at once on one connection of HTTP/2', async t => {
    const all = deferred()
    const { app, proxy } = await setStage(t, kind, async function * ({ to }) {
      yield { n: to }
      await all.promise
      return { total: to }
    })
    const client = new ProxyClient(t, proxy, 'HTTP/2')
    const answers: Exchange[] = []
    for (let n = 1; n <= 20; n++) answers.push(await client.send('/count', { headers: sse, body: { to: n } }))
    await Promise.all(answers.map(async (answer, index) => await answer.until(`"n":${index + 1}}`)))
    t.equal(app.mediator.stats().streams, 20)
    all.resolve()
    for (const answer of answers) t.same(namesOf(readFrames(await answer.end())), ['start', 'progress', 'complete'])
  })
}

// Each problem has an id of its own.
function withoutId (text: string): string {
  return text.replace(/"instance":"[^"]+"/, '"instance":""')
}
