import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import type { Test } from 'tap'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import streamingMediator, { commandRoute, defineCommand, defineEvent } from '../../index.js'
import type { StreamEnd, StreamingMediatorOptions } from '../../index.js'
import { createApp, createLog, deferred } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { RawClient } from '../support/raw-client.js'
import { connectSession, wireRequest } from '../support/wire-client.js'
import type { Http2Client, Protocol, WireClient } from '../support/wire-client.js'

const Work = defineCommand({
  name: 'work',
  input: Type.Object({ kind: Type.String() }),
  progress: Type.Object({ n: Type.Integer(), text: Type.Optional(Type.String()) }),
  result: Type.Object({ total: Type.Integer(), text: Type.Optional(Type.String()) })
})
const Counted = defineEvent({ name: 'counted', payload: Type.Object({}) })

const closeGraceMs = 300
// What handlers have for their `finally` and last frames for their way, and room for a busy machine.
const longestCloseMs = closeGraceMs + 2_000 + 2_000

interface Server {
  readonly app: FastifyInstance
  readonly port: number
  readonly logs: LogLine[]
  readonly ends: StreamEnd[]
  /** Resolves when the route `/answer` is about to send what it answers. */
  readonly answered: Promise<void>
  /** Resolves those that finish within the grace. */
  readonly finish: () => void
  /** Resolves what ignores its signal. */
  readonly release: () => void
}

async function startServer (t: Test, protocol: Protocol, options: StreamingMediatorOptions = {}): Promise<Server> {
  const { logs, logger } = createLog()
  const app: FastifyInstance = protocol === 'http/1.1'
    ? Fastify({ logger })
    : protocol === 'h2c'
      ? Fastify({ logger, http2: true }) as unknown as FastifyInstance
      : Fastify({ logger, http2: true, https: { ...certificate, allowHTTP1: true } }) as unknown as FastifyInstance
  await app.register(streamingMediator, { closeGraceMs, ...options })
  const ends: StreamEnd[] = []
  app.mediator.onStreamEnd(end => ends.push(end))
  const finishing = deferred()
  const released = deferred()
  const answered = deferred()
  app.mediator.addEventHandler(Counted, async (_event, { signal }) => { await once(signal, 'abort') })
  app.mediator.addHandler(Work, async function * ({ kind }, { emit, signal }) {
    if (kind === 'before-commit') await once(signal, 'abort')
    yield { n: 1 }
    // More than the buffers of two sockets hold.
    if (kind === 'long') return { total: 1, text: 'x'.repeat(20_000_000) }
    if (kind === 'blocked') for (let n = 2; ; n++) yield { n, text: 'x'.repeat(10_000) }
    if (kind === 'deaf') await released.promise
    else if (kind === 'finishing') await finishing.promise
    else if (kind === 'events') emit(Counted, {})
    else await once(signal, 'abort')
    return { total: 1 }
  })
  app.route(commandRoute(Work, { url: '/work' }))
  app.route(commandRoute(Work, { url: '/mapped', map: ({ body }) => body as { kind: string } }))
  app.route(commandRoute(Work, { url: '/late', commitAfterMs: Infinity }))
  app.route(commandRoute(Work, { url: '/hook', preHandler: async () => { await finishing.promise } }))
  app.route(commandRoute(Work, { url: '/answer', onSend: async () => answered.resolve() }))
  app.get('/ping', () => 'pong')
  app.get('/slow', async () => {
    await finishing.promise
    return 'slow'
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(async () => {
    released.resolve()
    await app.close()
  })
  return { app, port: (app.server.address() as AddressInfo).port, logs, ends, answered: answered.promise, finish: finishing.resolve, release: released.resolve }
}

async function timed (work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

const shuttingDown = /"status":503.*"code":"MEDIATOR_ERR_SHUTTING_DOWN","retryable":true/

t.jobs = 4

for (const protocol of ['http/1.1', 'h2c', 'h2', 'tls 1.1'] as const) {
  t.test(`ends every kind of stream when the app closes, over ${protocol}`, { buffered: true }, async t => {
    const { app, port, logs, ends, finish, release } = await startServer(t, protocol)
    const start = (kind: string, more: object = {}): WireClient => wireRequest(protocol, port, { path: '/work', body: { kind }, ...more })
    const clients = {
      idle: start('idle'),
      deaf: start('deaf'),
      events: start('events'),
      finishing: start('finishing'),
      'before-commit': start('before-commit', { path: '/late' }),
      json: start('idle', { accept: 'application/json' }),
      'json that finishes': start('finishing', { accept: 'application/json' }),
      hook: start('finishing', { path: '/hook' }),
      blocked: start('blocked', { reads: false }),
      unread: start('idle', { reads: false })
    }
    const { idle, deaf, events, finishing, hook } = clients
    await Promise.all([idle, deaf, events, finishing].map(async client => await client.until('"n":1')))
    // All but the one in its hook.
    while (app.mediator.stats().streams < 9) await turn()
    // Long enough that the handler which is not read stands still.
    await sleep(200)

    const ms = timed(async () => await app.close())
    await sleep(20)
    finish()
    const closeMs = await ms
    t.comment(`${protocol}: closed after ${closeMs.toFixed(0)} ms`)
    t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
    await Promise.all(Object.values(clients).map(async client => await client.closed()))

    for (const name of ['idle', 'deaf', 'events'] as const) {
      t.match(clients[name].text, /event: failed\n/, name)
      t.match(clients[name].text, shuttingDown, name)
      t.notMatch(clients[name].text, /event: complete/, name)
    }
    t.match(finishing.text, /event: complete\n/)
    for (const name of ['before-commit', 'json', 'hook'] as const) {
      t.equal(clients[name].status, 503, name)
      t.match(clients[name].text, shuttingDown, name)
    }
    t.match(hook.text, shuttingDown)
    t.equal(clients['json that finishes'].status, 200)
    t.match(clients['json that finishes'].text, '{"total":1}')
    // No event, so no stream: it was refused.
    t.equal(ends.length, 9)
    t.equal(new Set(ends.map(({ streamId }) => streamId)).size, 9)
    t.equal(ends.filter(({ reason }) => reason === 'shutdown').length, 7)
    t.equal(ends.filter(({ reason }) => reason === 'completed').length, 2)
    t.match(logs.filter(({ msg }) => msg.startsWith('handler goes on')), [{ command: 'work', reason: 'shutdown', level: 40 }])
    t.strictSame(app.mediator.stats(), { streams: 0, owners: 0, detachedHandlers: 1, runningEventHandlers: 0, waitingEventHandlers: 0 })
    release()
    while (app.mediator.stats().detachedHandlers > 0) await turn()
    t.strictSame(logs.filter(({ level }) => level > 40), [])
  })

  t.test(`waits for nobody when the app closes with idle connections, over ${protocol}`, { buffered: true }, async t => {
    const { app, port } = await startServer(t, protocol)
    const never = protocol === 'h2c' || protocol === 'h2' ? connectSession(protocol, port) : undefined
    if (never !== undefined) await once(never, 'remoteSettings')
    const busy = wireRequest(protocol, port, { path: '/work', body: { kind: 'events-not' } })
    const used = wireRequest(protocol, port, { method: 'GET', path: '/ping' })
    await Promise.all([busy.until('"n":1'), used.until('pong')])
    const closeMs = await timed(async () => await app.close())
    t.comment(`${protocol}: closed after ${closeMs.toFixed(0)} ms`)
    t.ok(closeMs < closeGraceMs + 900, `${closeMs.toFixed(0)} ms: the grace of the busy one, and no more`)
    await Promise.all([busy.closed(), used.closed()])
    t.match(busy.text, shuttingDown)
    if (never !== undefined && !never.destroyed) await once(never, 'close')
  })
}

// What a client may have sent when it falls silent.
const unfinished = {
  nothing: '',
  'half a head': 'POST /work HTTP/1.1\r\nhost: local',
  'half a body': 'POST /work HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"kind":',
  'half of a second head': 'GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\nGET /pi'
}

for (const protocol of ['http/1.1', 'tls 1.1', 'h2', 'h2c'] as const) {
  t.test(`closes in time when connections send no whole request, over ${protocol}`, { buffered: true }, async t => {
    const { app, port, finish } = await startServer(t, protocol)
    // With `allowHTTP1` a server of HTTP/2 takes these, too.
    const isSecure = protocol === 'tls 1.1' || protocol === 'h2'
    const open = (): Socket => isSecure ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }) : connect({ port, host: '127.0.0.1' })
    const sent = protocol === 'h2c' ? [''] : Object.values(unfinished)
    const sockets = sent.map(text => {
      const socket = open()
      socket.write(text)
      return socket
    })
    // Before the handshake.
    if (isSecure) sockets.push(connect({ port, host: '127.0.0.1' }))
    const ended = sockets.map(socket => new Promise(resolve => { socket.on('error', () => {}).on('close', resolve).resume() }))
    const slow = wireRequest(protocol, port, { method: 'GET', path: '/slow' })
    const used = wireRequest(protocol, port, { method: 'GET', path: '/ping' })
    await used.until('pong')
    const closing = timed(async () => await app.close())
    setTimeout(finish, 1_500)
    const closeMs = await closing
    t.comment(`${protocol}: closed after ${closeMs.toFixed(0)} ms`)
    t.ok(closeMs < longestCloseMs + 1_500, `${closeMs.toFixed(0)} ms`)
    await Promise.all(ended)
    await slow.closed()
    t.match(slow.text, /slow$/, 'what another route answers is waited for')
  })
}

t.test('does not wait for connections that are opened while the app closes', { buffered: true }, async t => {
  const { app, port } = await startServer(t, 'http/1.1')
  const ended: Array<Promise<unknown>> = []
  const opening = setInterval(() => {
    ended.push(new Promise(resolve => { connect({ port, host: '127.0.0.1' }).on('error', () => {}).on('close', resolve).resume() }))
  }, 5)
  const busy = wireRequest('http/1.1', port, { path: '/work', body: { kind: 'deaf' } })
  await busy.until('"n":1')
  const closeMs = await timed(async () => await app.close())
  clearInterval(opening)
  t.comment(`${ended.length} connections opened, closed after ${closeMs.toFixed(0)} ms`)
  t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
  await Promise.all(ended)
})

t.test('leaves connections that were upgraded to who has them', { buffered: true }, async t => {
  const { app } = await createApp(t)
  const upgraded = deferred<Socket>()
  app.server.on('upgrade', (_request, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
    socket.on('data', chunk => socket.write(chunk))
    upgraded.resolve(socket)
  })
  // As @fastify/websocket does.
  app.addHook('preClose', async () => {
    const socket = await upgraded.promise
    socket.write('bye')
    await sleep(300)
    socket.end()
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const client = new RawClient((app.server.address() as AddressInfo).port)
  client.socket.write('GET /echo HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
  await client.until('101 Switching')
  const closing = app.close()
  await client.until('bye')
  client.socket.write('still here')
  await client.until('still here')
  await Promise.all([closing, client.closed()])
})

t.test('closes in time when another route has answered a body that does not come', { buffered: true }, async t => {
  const { app } = await createApp(t)
  app.addContentTypeParser('text/csv', (_request, _payload, done) => done(null))
  const asked = [0, 300, 1_500].map(() => deferred())
  for (const [index, ms] of [0, 300, 1_500].entries()) {
    app.post(`/after-${ms}`, async () => {
      asked[index]!.resolve()
      await sleep(ms)
      return 'noted'
    })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  const clients = [0, 300, 1_500].map(ms => {
    const client = new RawClient((app.server.address() as AddressInfo).port)
    client.socket.write(`POST /after-${ms} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\ncontent-length: 100\r\n\r\na,b`)
    return client
  })
  await clients[0]!.until('noted')
  await Promise.all(asked.map(async ({ promise }) => await promise))
  const closeMs = await timed(async () => await app.close())
  t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
  for (const client of clients) await client.until('noted')
  await Promise.all(clients.map(async client => await client.closed()))
})

for (const protocol of ['http/1.1', 'h2c'] as const) {
  t.test(`closes in time when the body of a command does not come, over ${protocol}`, { buffered: true }, async t => {
    const { app, port } = await startServer(t, protocol)
    const paths = ['/work', '/mapped']
    if (protocol === 'h2c') {
      const session = connectSession(protocol, port)
      const streams = paths.map(path => session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json' }))
      const closed = streams.map(stream => new Promise(resolve => { stream.on('error', () => {}).on('close', resolve).write('{"ki') }))
      await once(session, 'remoteSettings')
      await sleep(50)
      const closeMs = await timed(async () => await app.close())
      t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
      await Promise.all(closed)
      return
    }
    const clients = paths.map(path => {
      const client = new RawClient(port)
      client.socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"ki`)
      return client
    })
    await sleep(50)
    const closeMs = await timed(async () => await app.close())
    t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
    await Promise.all(clients.map(async client => await client.closed()))
  })
}

t.test('leaves what secure connections of a Unix socket ask for', { buffered: true }, async t => {
  const app = Fastify({ https: certificate }) as unknown as FastifyInstance
  t.teardown(() => app.close())
  await app.register(streamingMediator)
  const asked = deferred()
  const answer = deferred()
  app.get('/slow', async () => {
    asked.resolve()
    await answer.promise
    return 'slow'
  })
  const folder = await mkdtemp(join(tmpdir(), 'mediator-'))
  t.teardown(async () => await rm(folder, { recursive: true }))
  const path = join(folder, 'socket')
  await app.listen({ path })
  const socket = connectTls({ path, rejectUnauthorized: false })
  let text = ''
  socket.on('data', chunk => { text += String(chunk) }).write('GET /slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
  await asked.promise
  const closing = app.close()
  await sleep(1_500)
  answer.resolve()
  await closing
  if (!socket.closed) await once(socket, 'close')
  t.match(text, /slow$/)
})

t.test('closes in time when connections of a Unix socket are silent', { buffered: true }, async t => {
  const { app } = await createApp(t)
  // Not the test's own folder: a path of this kind is at most 107 bytes long.
  const folder = await mkdtemp(join(tmpdir(), 'mediator-'))
  t.teardown(async () => await rm(folder, { recursive: true }))
  const path = join(folder, 'socket')
  await app.listen({ path })
  const sockets = [1, 2].map(() => connect(path))
  const ended = sockets.map(socket => new Promise(resolve => { socket.on('error', () => {}).on('close', resolve).resume() }))
  await Promise.all(sockets.map(async socket => await once(socket, 'connect')))
  const closeMs = await timed(async () => await app.close())
  t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
  await Promise.all(ended)
})

t.test('ends pipelined requests when the app closes', { buffered: true }, async t => {
  const { app, port, ends } = await startServer(t, 'http/1.1')
  const client = new RawClient(port)
  for (const [path, kind, accept] of [['/work', 'idle', '*/*'], ['/work', 'deaf', '*/*'], ['/late', 'before-commit', '*/*'], ['/work', 'idle', 'application/json']] as const) {
    client.request('POST', path, { body: { kind }, headers: { accept } })
  }
  while (app.mediator.stats().streams < 4) await turn()
  const closeMs = await timed(async () => await app.close())
  t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
  await client.closed()
  t.equal(client.text.split(shuttingDown).length, 5, 'each is told')
  t.strictSame(ends.map(({ reason }) => reason), Array(4).fill('shutdown'))
})

// A client whose windows are wide open, and whose connection takes no more.
async function connectUnread (t: Test, port: number): Promise<{ session: ClientHttp2Session, upstream: Socket }> {
  const connected = deferred<Socket>()
  const proxy = createServer(client => {
    const upstream = connect(port, '127.0.0.1')
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy())
    client.on('error', () => upstream.destroy())
    upstream.pipe(client).pipe(upstream)
    connected.resolve(upstream)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const session = connectHttp2(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, { settings: { initialWindowSize: 2 ** 31 - 1 } })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  session.setLocalWindowSize(2 ** 31 - 1)
  const stream = session.request({ ':method': 'POST', ':path': '/work', 'content-type': 'application/json' })
  stream.on('error', () => {}).end('{"kind":"blocked"}')
  stream.resume()
  await once(stream, 'data')
  const upstream = await connected.promise
  upstream.unpipe().pause()
  t.teardown(() => {
    upstream.destroy()
    session.destroy()
    proxy.close()
  })
  return { session, upstream }
}

t.test('closes in time when an HTTP/2 connection is not read at all', { buffered: true }, async t => {
  const { app, port, ends } = await startServer(t, 'h2c')
  await connectUnread(t, port)
  await sleep(300)
  const closeMs = await timed(async () => await app.close())
  t.comment(`closed after ${closeMs.toFixed(0)} ms`)
  t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
  t.match(ends, [{ reason: 'shutdown' }])
})

for (const protocol of ['http/1.1', 'h2c'] as const) {
  t.test(`closes in time when a JSON answer is not read, over ${protocol}`, { buffered: true }, async t => {
    const { app, port, ends, answered } = await startServer(t, protocol, { heartbeatMs: 100 })
    const client = wireRequest(protocol, port, { path: '/answer', body: { kind: 'long' }, accept: 'application/json', reads: false })
    await answered
    await turn()
    const closeMs = await timed(async () => await app.close())
    t.comment(`closed after ${closeMs.toFixed(0)} ms`)
    t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
    await client.closed()
    t.match(ends, [{ reason: 'completed' }])
  })
}

t.test('cuts an HTTP/2 connection that is not read at all with its stalled stream, and no other', { buffered: true }, async t => {
  const { app, port, ends } = await startServer(t, 'h2c', { stallTimeoutMs: 200 })
  const read = wireRequest('h2c', port, { path: '/work', body: { kind: 'blocked' }, reads: false })
  while (app.mediator.stats().streams === 0) await turn()
  const cut = deferred()
  app.server.on('connection', (socket: Socket) => socket.once('close', cut.resolve))
  await connectUnread(t, port)
  await cut.promise
  t.match(ends, [{ reason: 'stalled' }, { reason: 'stalled' }])
  await sleep(200)
  t.equal((read as Http2Client).session.destroyed, false, 'one that answers pings stays')
  read.destroy()
})

for (const protocol of ['h2c', 'h2'] as const) {
  t.test(`closes sessions that are opened during the close, over ${protocol}`, { buffered: true }, async t => {
    const { app, port } = await startServer(t, protocol)
    const busy = wireRequest(protocol, port, { path: '/work', body: { kind: 'deaf' } })
    const unread = wireRequest(protocol, port, { path: '/work', body: { kind: 'blocked' }, reads: false })
    await busy.until('"n":1')
    while (app.mediator.stats().streams < 2) await turn()
    const ended: Array<Promise<void>> = []
    const opening = setInterval(() => {
      ended.push(new Promise(resolve => connectSession(protocol, port).on('close', resolve)))
    }, 10)
    const closeMs = await timed(async () => await app.close())
    clearInterval(opening)
    t.comment(`${ended.length} sessions opened, closed after ${closeMs.toFixed(0)} ms`)
    t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
    await Promise.all(ended)
    await Promise.all([busy.closed(), unread.closed()])
    t.match(busy.text, shuttingDown)
  })

  t.test(`waits for an answer of another route over ${protocol}, and then for nobody`, { buffered: true }, async t => {
    const { app, port, finish } = await startServer(t, protocol)
    const slow = wireRequest(protocol, port, { method: 'GET', path: '/slow' })
    const used = wireRequest(protocol, port, { method: 'GET', path: '/ping' })
    await used.until('pong')
    setTimeout(finish, 1_500)
    await app.close()
    await Promise.all([slow.closed(), used.closed()])
    t.equal(slow.text, 'slow')
  })
}

t.test('closes in time when clients of HTTP/2 do not hang up', { buffered: true }, async t => {
  const { app, port } = await startServer(t, 'h2c')
  const sockets = [1, 2, 3].map(() => connect({ port, host: '127.0.0.1', allowHalfOpen: true }))
  for (const socket of sockets) {
    socket.on('error', () => {}).resume()
    // The preface and empty settings; and no word after that.
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]))
    await once(socket, 'data')
  }
  const closeMs = await timed(async () => await app.close())
  t.comment(`closed after ${closeMs.toFixed(0)} ms`)
  t.ok(closeMs < longestCloseMs, `${closeMs.toFixed(0)} ms`)
  for (const socket of sockets) socket.destroy()
})
