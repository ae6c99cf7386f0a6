import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import compress from '@fastify/compress'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import streamingMediator, { commandRoute } from '../../index.js'
import type { StreamEnd, StreamingMediatorOptions } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { Add, Count, createApp, createLog, deferred, listen as listenAt } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import { namesOf } from '../support/frames.js'
import { RawClient } from '../support/raw-client.js'

const sse = 'text/event-stream'
const ndjson = 'application/x-ndjson'
const json = 'application/json'
const problem = 'application/problem+json'
const post = { body: { to: 1 } }

interface Gated {
  readonly app: FastifyInstance
  readonly logs: LogLine[]
  /** The inputs that a handler was started with. */
  readonly started: unknown[]
  readonly ends: StreamEnd[]
  /** What the handlers wait for after their first progress. */
  readonly gate: ReturnType<typeof deferred<void>>
  /** Adds the routes, after the plugins of the test, and listens. */
  listen (): Promise<number>
}

/** An app whose command tells one progress and waits for the gate before the next. It listens when the test asks it to. */
async function createGated (
  t: Test, { plugin, server, route = {} }: { plugin?: StreamingMediatorOptions, server?: FastifyServerOptions, route?: object } = {}
): Promise<Gated> {
  const { app, logs } = await createApp(t, plugin, server)
  const addRoutes = (): void => {
    app.route(commandRoute(Count, { url: '/count', ...route }))
    app.route(commandRoute(Count, { url: '/count', method: 'GET', ...route }))
    app.route(commandRoute(Count, { url: '/posted' }))
  }
  const gated: Gated = {
    app,
    logs,
    started: [],
    ends: [],
    gate: deferred(),
    listen: async () => {
      addRoutes()
      return await listenAt(app)
    }
  }
  app.mediator.addHandler(Count, async function * (input, { signal }) {
    gated.started.push(input)
    if (input.to === 404) throw Object.assign(new Error('Nothing to count'), { statusCode: 404 })
    if (input.to === 500) throw new Error('secret')
    const aborted = once(signal, 'abort')
    yield { n: 1 }
    await Promise.race([gated.gate.promise, aborted])
    yield { n: 2 }
    return { total: 2 }
  })
  app.mediator.onStreamEnd(end => gated.ends.push(end))
  return gated
}

/** Collects what Node warns of until the test ends. */
function collectWarnings (t: Test): Error[] {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  return warnings
}

async function http2Request (
  session: ClientHttp2Session, headers: Record<string, string>, body?: string
): Promise<{ headers: IncomingHttpHeaders & { ':status'?: number }, body: string }> {
  const stream = session.request({ ...(body !== undefined && { 'content-type': json }), ...headers })
  stream.end(body)
  const [answer] = await once(stream, 'response') as [IncomingHttpHeaders]
  stream.setEncoding('utf8')
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return { headers: answer, body: text }
}

async function createHttp2 (t: Test, plugin: StreamingMediatorOptions = {}, server: object = {}) {
  const { logs, logger } = createLog()
  const app = Fastify({ http2: true, logger, ...server })
  t.teardown(() => app.close())
  await app.register(streamingMediator, { closeGraceMs: 0, ...plugin })
  return {
    app,
    logs,
    connect: async (): Promise<ClientHttp2Session> => {
      await app.listen({ port: 0, host: '127.0.0.1' })
      const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as { port: number }).port}`)
      t.teardown(() => session.destroy())
      return session
    }
  }
}

t.test('HEAD gives the headers of a GET route and runs nothing', async t => {
  const { app, started, listen } = await createGated(t)
  const client = new RawClient(await listen())
  client.request('HEAD', '/count?to=1', { headers: { accept: ndjson } })
  await client.until('\r\n\r\n')
  // The connection is free for the next request: no body follows, and none is waited for.
  client.request('HEAD', '/count?to=404', { headers: { accept: json } })
  await client.until('application/json')
  client.request('HEAD', '/count?to=1', { headers: { accept: 'image/png' } })
  await client.until('406 Not Acceptable')
  client.request('HEAD', '/posted')
  await client.until('404 Not Found')
  client.socket.destroy()
  t.match(client.text, /^HTTP\/1\.1 200 OK\r\n/)
  t.match(client.text, 'content-type: application/x-ndjson\r\ncache-control: no-cache, no-store, no-transform\r\nx-accel-buffering: no\r\n')
  t.strictSame(started, [])
  t.strictSame(app.mediator.stats().streams, 0)
})

t.test('HEAD is unknown to an app without automatic HEAD routes', async t => {
  const { started, listen } = await createGated(t, { server: { exposeHeadRoutes: false } })
  t.equal((await fetch(`http://127.0.0.1:${await listen()}/count?to=1`, { method: 'HEAD' })).status, 404)
  t.strictSame(started, [])
})

t.test('OPTIONS runs nothing, with and without @fastify/cors', async t => {
  for (const isAllowed of [false, true]) {
    const gated = await createGated(t)
    if (isAllowed) await gated.app.register(cors, { origin: 'http://shop.example', credentials: true })
    const url = `http://127.0.0.1:${await gated.listen()}`
    for (const path of ['/count', '/count?to=1', '/posted']) {
      const response = await fetch(url + path, {
        method: 'OPTIONS',
        headers: { origin: 'http://shop.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' }
      })
      t.equal(response.status, isAllowed ? 204 : 404)
      t.equal(response.headers.get('access-control-allow-origin'), isAllowed ? 'http://shop.example' : null)
      await response.body?.cancel()
    }
    t.strictSame(gated.started, [])
  }
})

t.test('reads Accept headers that were sent twice as one list', async t => {
  const { gate, listen } = await createGated(t)
  gate.resolve()
  const client = new RawClient(await listen())
  client.socket.write(`GET /count?to=1 HTTP/1.1\r\nhost: localhost\r\naccept: ${sse};q=0.1\r\naccept: ${ndjson}\r\n\r\n`)
  await client.until('"complete"')
  t.match(client.text, `content-type: ${ndjson}\r\n`)
  client.socket.destroy()
})

t.test('answers over HTTP/2 without a warning and without a header that it forbids', async t => {
  const warnings = collectWarnings(t)
  const { app, logs, connect } = await createHttp2(t)
  app.mediator.addHandler(Count, async function * ({ to }) {
    if (to === 404) throw Object.assign(new Error('No'), { statusCode: 404 })
    yield { n: 1 }
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
  const session = await connect()
  const answers = await Promise.all([
    ...[sse, ndjson, json].map(accept => http2Request(session, { ':method': 'POST', ':path': '/count', accept }, '{"to":1}')),
    http2Request(session, { ':method': 'GET', ':path': '/count?to=1' }),
    http2Request(session, { ':method': 'HEAD', ':path': '/count?to=1' }),
    http2Request(session, { ':method': 'POST', ':path': '/count' }, '{"to":404}'),
    http2Request(session, { ':method': 'POST', ':path': '/count' }, '{'),
    http2Request(session, { ':method': 'GET', ':path': '/count?to=1', 'sec-fetch-site': 'cross-site' })
  ])
  t.strictSame(answers.map(({ headers }) => [headers[':status'], headers['content-type']]), [
    [200, sse], [200, ndjson], [200, `${json}; charset=utf-8`], [200, sse], [200, sse], [404, problem], [400, problem], [403, problem]
  ])
  t.strictSame(namesOf(readFrames(answers[0]!.body)), ['start', 'progress', 'complete'])
  t.equal(answers[4]!.body, '')
  for (const { headers } of answers) {
    for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection']) t.notHas(headers, name)
  }
  session.close()
  await once(session, 'close')
  await app.close()
  t.strictSame(warnings, [])
  t.strictSame(logs.filter(({ level }) => level >= 40), [])
})

t.test('keeps the headers and cookies that plugins set, on every kind of answer', async t => {
  const { app, gate, listen } = await createGated(t)
  gate.resolve()
  await app.register(cors, { origin: ['http://shop.example', 'http://other.example'], credentials: true, exposedHeaders: ['x-ratelimit-limit'] })
  await app.register(cookie)
  await app.register(helmet)
  await app.register(rateLimit, { max: 1_000 })
  app.addHook('preHandler', async (_request, reply) => { reply.setCookie('session', 'a', { httpOnly: true }).setCookie('seen', '1') })
  app.addHook('onSend', async (_request, reply) => { reply.header('x-late', 'yes') })
  const url = `http://127.0.0.1:${await listen()}`
  const seen = 'Zk3vQx0bT2mYw9LhR4sD1A.7'
  for (const [what, to, headers, status, type] of [
    ['server-sent events', 1, { accept: sse }, 200, sse],
    ['NDJSON', 1, { accept: ndjson }, 200, ndjson],
    ['JSON', 1, { accept: json }, 200, `${json}; charset=utf-8`],
    ['an early failure', 404, { accept: sse }, 404, problem],
    ['a hidden failure', 500, { accept: sse }, 500, problem],
    ['a failure as JSON', 404, { accept: json }, 404, problem],
    ['a refused Accept', 1, { accept: 'image/png' }, 406, problem],
    ['a reconnect', 1, { 'last-event-id': seen }, 204, null]
  ] as const) {
    await t.test(what, async t => {
      const response = await fetch(`${url}/posted`, {
        method: 'POST', body: JSON.stringify({ to }), headers: { 'content-type': json, origin: 'http://shop.example', ...headers }
      })
      await response.text()
      t.equal(response.status, status)
      t.equal(response.headers.get('content-type'), type)
      t.same(response.headers.getSetCookie(), ['session=a; HttpOnly; SameSite=Lax', 'seen=1; SameSite=Lax'])
      t.match(Object.fromEntries(response.headers), {
        'access-control-allow-origin': 'http://shop.example',
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'x-ratelimit-limit',
        'content-security-policy': String,
        'x-frame-options': 'SAMEORIGIN',
        'x-content-type-options': 'nosniff',
        'x-ratelimit-limit': '1000',
        'x-ratelimit-remaining': /^\d+$/,
        'x-late': 'yes',
        vary: 'Origin, Accept'
      })
    })
  }
  // Refused before the route was asked what it can answer.
  const invalid = await fetch(`${url}/posted`, { method: 'POST', body: '{}', headers: { 'content-type': json, origin: 'http://shop.example' } })
  t.equal(invalid.status, 400)
  t.match(Object.fromEntries(invalid.headers), {
    'content-type': problem, 'access-control-allow-origin': 'http://shop.example', 'x-ratelimit-limit': '1000', vary: 'Origin'
  })
  await invalid.text()
})

t.test('answers the refusal of @fastify/rate-limit as a problem and keeps its Retry-After', async t => {
  const { app, gate, started, listen } = await createGated(t)
  gate.resolve()
  await app.register(rateLimit, { max: 2, timeWindow: 60_000 })
  const port = await listen()
  const send = async () => await fetch(`http://127.0.0.1:${port}/posted`, { method: 'POST', body: '{"to":1}', headers: { 'content-type': json } })
  for (let request = 0; request < 2; request++) await (await send()).text()
  const refused = await send()
  t.equal(refused.status, 429)
  t.match(Object.fromEntries(refused.headers), { 'content-type': problem, 'cache-control': 'no-store', 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '0' })
  // Ours would be 5 seconds at most.
  t.ok(Number(refused.headers.get('retry-after')) > 30, `after ${refused.headers.get('retry-after')} s`)
  t.match(await refused.json(), { status: 429, title: 'Too Many Requests', retryable: true, detail: /Rate limit exceeded/ })
  t.equal(started.length, 2)
})

for (const type of [sse, ndjson]) {
  for (const method of ['GET', 'POST']) {
    t.test(`does not let @fastify/compress hold back or compress ${type} of a ${method} route`, async t => {
      const { app, gate, listen } = await createGated(t)
      await app.register(compress, { global: true, threshold: 0, customTypes: /./ })
      app.get('/text', async (_request, reply) => await reply.type(sse).send('data: 1\n\n'.repeat(100)))
      const url = `http://127.0.0.1:${await listen()}`
      const headers = { 'accept-encoding': 'gzip, br, deflate' }
      const control = await fetch(`${url}/text`, { headers })
      await control.text()
      t.match(control.headers.get('content-encoding'), /gzip|br|deflate/, 'it compresses what it is let')
      const response = method === 'GET'
        ? await fetch(`${url}/count?to=1`, { headers: { accept: type, ...headers } })
        : await fetch(`${url}/posted`, { method, body: '{"to":1}', headers: { 'content-type': json, accept: type, ...headers } })
      t.equal(response.headers.get('content-encoding'), null)
      let text = ''
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk
        // The handler still waits: what has arrived was not held back for the rest.
        if (text.includes('"n":1')) gate.resolve()
      }
      t.match(text, '"total":2')
    })
  }
}

for (const [what, server] of ([
  ['handlerTimeout', { handlerTimeout: 400 }],
  ['connectionTimeout', { connectionTimeout: 600 }],
  ['requestTimeout', { requestTimeout: 400, http: { connectionsCheckingInterval: 100 } }],
  ['keepAliveTimeout', { keepAliveTimeout: 400 }]
] as Array<[string, FastifyServerOptions]>)) {
  t.test(`streams on for longer than the server's ${what}`, async t => {
    const { app, gate, ends, logs, listen } = await createGated(t, { server })
    const port = await listen()
    const clients = [sse, ndjson].flatMap(accept => ['GET', 'POST'].map(method => {
      const client = new RawClient(port)
      client.request(method, method === 'GET' ? '/count?to=1' : '/count', { headers: { accept }, ...(method === 'POST' && post) })
      return client
    }))
    for (const client of clients) await client.until('"n":1')
    await sleep(1_300)
    gate.resolve()
    for (const client of clients) {
      await client.until('"total":2')
      client.socket.destroy()
    }
    await app.close()
    t.strictSame(ends.map(({ reason }) => reason), ['completed', 'completed', 'completed', 'completed'])
    t.strictSame(logs.filter(({ level }) => level >= 40), [])
  })
}

for (const server of [{ http2SessionTimeout: 400 }, { connectionTimeout: 400 }, { handlerTimeout: 400 }]) {
  t.test(`streams on over HTTP/2 for longer than ${JSON.stringify(server)}`, async t => {
    const { app, connect } = await createHttp2(t, {}, server)
    const gate = deferred()
    app.mediator.addHandler(Count, async function * () {
      yield { n: 1 }
      await gate.promise
      return { total: 2 }
    })
    app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
    const session = await connect()
    const answer = http2Request(session, { ':path': '/count?to=1' })
    await sleep(1_000)
    gate.resolve()
    t.strictSame(namesOf(readFrames((await answer).body)), ['start', 'progress', 'complete'])
  })
}

for (const accept of [sse, ndjson]) {
  t.test(`ends a stream of ${accept} with its last frame when its route's own handlerTimeout is over`, async t => {
    const { ends, logs, listen } = await createGated(t, { route: { handlerTimeout: 150 } })
    const client = new RawClient(await listen())
    client.request('GET', '/count?to=1', { headers: { accept } })
    await client.until('MEDIATOR_ERR_DEADLINE')
    // Its connection goes on.
    client.request('GET', '/count?to=404')
    await client.until('404 Not Found')
    client.socket.destroy()
    while (ends.length < 2) await turn()
    t.match(ends[0], { reason: 'deadline', frames: 3 })
    t.strictSame(logs.filter(({ level }) => level >= 40), [])
  })
}

for (const accept of [sse, json]) {
  t.test(`answers 503 to a client of ${accept} whose handler gives nothing within the handlerTimeout of its route`, async t => {
    const { app, logs } = await createApp(t)
    const ends: StreamEnd[] = []
    app.mediator.onStreamEnd(end => ends.push(end))
    const ended = deferred<unknown>()
    app.mediator.addHandler(Count, async (_input, { signal }) => {
      await once(signal, 'abort')
      ended.resolve(signal.reason)
      return { total: 1 }
    })
    app.route(commandRoute(Count, { url: '/count', method: 'GET', handlerTimeout: 100, commitAfterMs: Infinity }))
    const response = await fetch(`http://127.0.0.1:${await listenAt(app)}/count?to=1`, { headers: { accept } })
    t.equal(response.status, 503)
    t.match(response.headers.get('retry-after'), /^[1-5]$/)
    t.match(await response.json(), { code: 'FST_ERR_HANDLER_TIMEOUT', status: 503, retryable: true })
    t.match(await ended.promise, { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
    await app.close()
    t.equal(app.mediator.stats().streams, 0)
    t.match(ends, [{ reason: 'cancelled' }], 'its client has not left')
    t.match(logs.filter(({ msg }) => msg === 'stream ended'), [{ reason: 'cancelled' }])
    t.strictSame(logs.filter(({ level, msg }) => level >= 40 && msg !== 'request failed'), [])
  })
}

t.test('tells a client that leaves a route with a handlerTimeout from one whose time is over', async t => {
  const { ends, listen } = await createGated(t, { route: { handlerTimeout: 60_000 } })
  const client = new RawClient(await listen())
  client.request('GET', '/count?to=1')
  await client.until('"n":1')
  client.socket.destroy()
  while (ends.length < 1) await turn()
  t.match(ends, [{ reason: 'client-closed' }])
})

t.test('answers pipelined requests one after the other, whatever they ask for', async t => {
  const { gate, listen } = await createGated(t)
  const client = new RawClient(await listen())
  client.request('POST', '/count', post)
  await client.until('"n":1')
  client.request('POST', '/count', { ...post, headers: { accept: ndjson } })
  client.request('POST', '/count', { ...post, headers: { accept: json } })
  client.request('POST', '/count', { body: { to: 404 } })
  client.request('HEAD', '/count?to=1')
  client.request('POST', '/count', { body: { to: 'x' } })
  gate.resolve()
  await client.until('must be integer')
  client.socket.destroy()
  const types = Array.from(client.text.matchAll(/content-type: (\S+?);?[ \r]/g), ([, type]) => type)
  t.strictSame(types, [sse, ndjson, json, problem, sse, problem])
  const ends = ['event: complete', '"event":"complete"', '\r\n\r\n{"total":2}', 'Nothing to count'].map(text => client.text.indexOf(text))
  t.ok(ends.every((at, index) => at > (ends[index - 1] ?? 0)), ends.join(' '))
})

t.test('sends heartbeats over HTTP/2', async t => {
  const { app, connect } = await createHttp2(t, { heartbeatMs: 30 })
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    await once(signal, 'abort')
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const stream = (await connect()).request({ ':method': 'POST', ':path': '/count', 'content-type': json })
  stream.end('{"to":1}')
  stream.setEncoding('utf8')
  let text = ''
  stream.on('data', chunk => { text += String(chunk) })
  while (!text.endsWith('\n\n:\n\n:\n\n')) await once(stream, 'data')
  t.strictSame(namesOf(readFrames(text)), ['start'])
  stream.close()
})

t.test('finds out by the heartbeat at the latest that the client of pipelined streams has left', async t => {
  const { app, ends, listen } = await createGated(t, { plugin: { heartbeatMs: 50 } })
  const client = new RawClient(await listen())
  for (let request = 0; request < 5; request++) client.request('POST', '/count', post)
  await client.until('"n":1')
  while (app.mediator.stats().streams < 5) await turn()
  client.socket.destroy()
  while (ends.length < 5) await turn()
  t.strictSame(new Set(ends.map(({ reason }) => reason)), new Set(['client-closed']))
  t.equal(app.mediator.stats().streams, 0)
})

t.test('asks a client that expects it to go on, and starts when its body is there', async t => {
  const { gate, started, listen } = await createGated(t)
  gate.resolve()
  const client = new RawClient(await listen())
  client.socket.write(`POST /count HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-type: ${json}\r\ncontent-length: 8\r\n\r\n`)
  await client.until('HTTP/1.1 100 Continue\r\n\r\n')
  t.strictSame(started, [])
  client.socket.write('{"to":1}')
  await client.until('"total":2')
  t.equal(started.length, 1)
  client.socket.destroy()
})

t.test('answers injected requests like those of a socket', async t => {
  const { app, gate, listen } = await createGated(t)
  await listen()
  gate.resolve()
  const inject = async (accept: string, to: unknown = 1) => await app.inject({ method: 'POST', url: '/count', payload: { to }, headers: { accept } })
  for (const accept of [sse, ndjson]) t.strictSame(namesOf(readFrames((await inject(accept)).body)), ['start', 'progress', 'progress', 'complete'])
  t.strictSame((await inject(json)).json(), { total: 2 })
  for (const [to, status] of [[404, 404], [500, 500], ['x', 400]]) t.equal((await inject(sse, to)).statusCode, status)
})

t.test('closes the connection after the stream where the client asks for that', async t => {
  const { gate, listen } = await createGated(t)
  const client = new RawClient(await listen())
  client.request('POST', '/count', { ...post, headers: { connection: 'close' } })
  await client.until('"n":1')
  gate.resolve()
  await client.closed()
  t.match(client.text, 'Connection: close\r\n')
  t.strictSame(namesOf(readFrames(client.body)), ['start', 'progress', 'progress', 'complete'])
})

for (const keepAlive of ['', 'connection: keep-alive\r\n']) {
  t.test(`streams to a client of HTTP/1.0 without chunks and closes after the last frame (${keepAlive.trim() || 'no keep-alive'})`, async t => {
    const { gate, listen } = await createGated(t)
    const client = new RawClient(await listen())
    client.socket.write(`POST /count HTTP/1.0\r\n${keepAlive}content-type: ${json}\r\ncontent-length: 8\r\n\r\n{"to":1}`)
    await client.until('"n":1')
    gate.resolve()
    await client.closed()
    t.notMatch(client.text, /transfer-encoding/i)
    t.match(client.text, 'Connection: close\r\n')
    t.strictSame(namesOf(readFrames(client.text.slice(client.text.indexOf('\r\n\r\n') + 4))), ['start', 'progress', 'progress', 'complete'])
  })
}

t.test('leaves trailing slashes, prefixes, case and encapsulation to the app', async t => {
  const { app } = await createApp(t, {}, { routerOptions: { ignoreTrailingSlash: true, caseSensitive: false } })
  app.mediator.addHandler(Add, ({ a, b }) => a + b)
  await app.register(async scope => {
    scope.addHook('onRequest', async (_request, reply) => { reply.header('x-inner', 'yes') })
    scope.route(commandRoute(Add, { url: '/add' }))
    scope.route(commandRoute(Add, { url: '/', prefixTrailingSlash: 'no-slash' }))
  }, { prefix: '/v1' })
  app.route(commandRoute(Add, { url: '/outer' }))
  const send = async (url: string) => await app.inject({ method: 'POST', url, payload: { a: 1, b: 2 } })
  for (const url of ['/v1/add', '/v1/add/', '/V1/Add', '/v1', '/outer/']) {
    const response = await send(url)
    t.equal(response.body, '3', url)
    t.equal(response.headers['x-inner'], url === '/outer/' ? undefined : 'yes')
  }
  const strict = await createApp(t)
  strict.app.mediator.addHandler(Add, ({ a, b }) => a + b)
  strict.app.route(commandRoute(Add, { url: '/add' }))
  t.equal((await strict.app.inject({ method: 'POST', url: '/add/', payload: { a: 1, b: 2 } })).statusCode, 404)
})

// tap fails a test at an exception that nobody catches.
for (const [what, breakIt] of [
  ['its response is destroyed with an error', (app: FastifyInstance) => app.addHook('onRequest', async (_request, { raw }) => {
    setImmediate(() => raw.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })))
  })],
  ['its response is destroyed while it streams', (app: FastifyInstance) => app.addHook('onSend', async (_request, { raw }) => {
    setImmediate(() => raw.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })))
  })],
  ['its socket fails', (app: FastifyInstance) => app.addHook('onSend', async ({ socket }) => {
    setImmediate(() => socket.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })))
  })],
  ['its response tells of an error', (app: FastifyInstance) => app.addHook('onSend', async (_request, { raw }) => {
    setImmediate(() => {
      raw.emit('error', new Error('of the response'))
      raw.destroy()
    })
  })]
] as const) {
  t.test(`ends a stream, and nothing else, when ${what}`, async t => {
    const { app, ends, gate, listen } = await createGated(t)
    breakIt(app)
    app.mediator.addHandler(Add, () => 3)
    const port = await listen()
    const client = new RawClient(port)
    client.request('POST', '/count', post)
    await client.closed()
    while (ends.length < 1) await turn()
    t.match(ends, [{ reason: 'client-closed' }])
    gate.resolve()
    t.equal(app.mediator.stats().streams, 0)
  })
}

t.test('writes nothing more to a response that was destroyed in the handler of its stream', async t => {
  const { app, logs } = await createApp(t)
  app.mediator.addHandler(Count, async function * (_input, { scope }) {
    yield { n: 1 }
    await turn()
    ;(scope.resolve('response') as { destroy (error: Error): void }).destroy(new Error('gone'))
    for (let n = 2; n < 100; n++) yield { n }
    return { total: 100 }
  })
  const raws: unknown[] = []
  app.route(commandRoute(Count, {
    url: '/count',
    preHandler: async (_request, { raw }) => { raws.push(raw) },
    scope: () => ({ resolve: () => raws[0] as never })
  }))
  const client = new RawClient(await listenAt(app))
  client.request('POST', '/count', post)
  await client.closed()
  await app.close()
  t.match(client.text, '"n":1')
  t.notMatch(client.text, 'event: complete')
  t.strictSame(logs.filter(({ level, msg }) => level >= 50 && msg !== 'stream closed prematurely'), [])
})
