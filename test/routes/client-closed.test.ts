import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { createGzip } from 'node:zlib'
import { setImmediate as turn } from 'node:timers/promises'
import type { Readable } from 'node:stream'
import t from 'tap'
import Fastify from 'fastify'
import streamingMediator, { commandRoute } from '../../index.js'
import { Count, createApp, createLog, deferred, listen } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'

const post = { body: { to: 1 } }

for (const finished of [true, false]) {
  t.test(`forgets a reply whose client left during an onSend hook, ${finished ? 'after' : 'before'} the end of its stream`, async t => {
    const { app } = await createApp(t)
    const entered = deferred()
    const left = deferred()
    app.mediator.addHandler(Count, async function * (_input, { signal }) {
      if (finished) return { total: 0 }
      yield { n: 1 }
      await once(signal, 'abort')
      return { total: 1 }
    })
    app.route(commandRoute(Count, {
      url: '/count',
      onSend: async (_request, reply, payload) => {
        entered.resolve()
        await once(reply.raw, 'close')
        setImmediate(left.resolve)
        return payload
      }
    }))
    const client = new RawClient(await listen(app))
    client.request('POST', '/count', post)
    await entered.promise
    client.socket.destroy()
    await left.promise
    while (app.mediator.stats().streams > 0) await turn()
    const startedAt = performance.now()
    await app.close()
    t.ok(performance.now() - startedAt < 900, 'closing waits for nobody')
  })
}

for (const accept of ['text/event-stream', 'application/json']) {
  t.test(`ends the work of a request for ${accept} that is pipelined behind a stream`, async t => {
    const { app, logs } = await createApp(t)
    const reasons: unknown[] = []
    let started = 0
    const allStarted = deferred()
    const ended = deferred()
    app.mediator.addHandler(Count, async function * (_input, { signal }) {
      if (++started === 12) allStarted.resolve()
      yield { n: 1 }
      await once(signal, 'abort')
      reasons.push(signal.reason)
      if (reasons.length === 12) ended.resolve()
      return { total: 1 }
    })
    app.route(commandRoute(Count, { url: '/count' }))
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => { warnings.push(warning) }
    process.on('warning', onWarning)
    t.teardown(() => process.off('warning', onWarning))
    const client = new RawClient(await listen(app))
    client.request('POST', '/count', post)
    await client.until('"n":1')
    for (let request = 0; request < 11; request++) client.request('POST', '/count', { ...post, headers: { accept } })
    await allStarted.promise
    client.socket.resetAndDestroy()
    await ended.promise
    t.ok(reasons.every(reason => (reason as { reason?: unknown }).reason === 'client-closed'))
    await turn()
    t.equal(app.mediator.stats().streams, 0)
    t.strictSame(logs.filter(({ level }) => level >= 40), [])
    t.strictSame(warnings, [], 'no listener leaks')
  })
}

t.test('starts nothing for a client of HTTP/2 that has left during a hook', async t => {
  const { logs, logger } = createLog()
  const app = Fastify({ http2: true, logger })
  t.teardown(() => app.close())
  await app.register(streamingMediator, { closeGraceMs: 0 })
  let started = 0
  app.mediator.addHandler(Count, () => {
    started++
    return { total: 1 }
  })
  const entered: Array<() => void> = []
  const left: Array<() => void> = []
  app.route(commandRoute(Count, {
    url: '/count',
    preHandler: async (request, reply) => {
      entered.shift()!()
      await once((reply.raw as unknown as { stream: Readable }).stream, 'close')
      setImmediate(left.shift()!)
      if (request.headers['x-fail'] !== undefined) throw Object.assign(new Error('No'), { statusCode: 404 })
    }
  }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as { port: number }).port}`)
  for (const headers of [{ accept: 'text/event-stream' }, { accept: 'application/json' }, { 'x-fail': '1' }]) {
    const inHook = deferred()
    const gone = deferred()
    entered.push(inHook.resolve)
    left.push(gone.resolve)
    const stream = session.request({ ':method': 'POST', ':path': '/count', 'content-type': 'application/json', ...headers })
    stream.on('error', () => {})
    stream.end('{"to":1}')
    await inHook.promise
    stream.close()
    await gone.promise
    await turn()
  }
  session.destroy()
  t.equal(started, 0)
  t.strictSame(logs.filter(({ level }) => level >= 40), [])
})

t.test('waits at the close of the app for what a hook compresses', async t => {
  const { app } = await createApp(t)
  app.addHook('onSend', async (_request, _reply, payload) => (payload as Readable).pipe(createGzip()))
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    yield { n: 1 }
    await once(signal, 'abort')
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', post)
  while (app.mediator.stats().streams === 0) await turn()
  await client.until('\r\n\r\n')
  const startedAt = performance.now()
  await app.close()
  t.ok(performance.now() - startedAt < 4_000, `${(performance.now() - startedAt).toFixed(0)} ms`)
  await client.closed()
})
