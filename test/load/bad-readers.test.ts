import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { commandRoute } from '../../index.js'
import type { EndReason, StreamEnd } from '../../index.js'
import { Count, createApp, deferred, listen } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'

const post = 'POST /count HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n'
const requestTo = (to: number): string => `${post}content-length: 8\r\n\r\n{"to":${to}}`
const text = 'x'.repeat(4_096)
const maxBytesEach = 256 * 1_024

t.test('100 clients that never read are cut, cost little until then, and keep nobody from being served', async t => {
  const clients = 100
  const { app } = await createApp(t, { stallTimeoutMs: 3_000 })
  const allStarted = deferred()
  const allEnded = deferred()
  let [started, finished] = [0, 0]
  app.mediator.addHandler(Count, async function * ({ to }) {
    if (to > 0) {
      yield { n: 0 }
      return { total: 1 }
    }
    if (++started === clients) allStarted.resolve()
    try {
      for (let n = 0; ; n++) yield { n, text }
    } finally {
      finished++
    }
  })
  const reasons = new Map<EndReason, number>()
  let most = 0
  app.mediator.onStreamEnd(({ reason }) => {
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    if (reason === 'stalled') most = Math.max(most, ...connections.map(({ writableLength }) => writableLength))
    if (reason !== 'completed' && app.mediator.stats().streams === 0) allEnded.resolve()
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  const connections: Socket[] = []
  app.server.on('connection', socket => connections.push(socket))
  await Promise.all(Array.from({ length: clients }, async () => {
    const socket = await connected(t, port)
    socket.pause()
    socket.write(requestTo(0))
  }))
  await allStarted.promise
  const other = new RawClient(port)
  t.teardown(() => other.socket.destroy())
  other.request('POST', '/count', { body: { to: 1 } })
  await other.until('event: complete')
  await allEnded.promise
  t.ok(most > 0 && most < maxBytesEach, `at most ${Math.round(most / 1_024)} KiB wait for one of them`)
  t.same([...reasons].sort(), [['completed', 1], ['stalled', clients]])
  t.equal(finished, clients)
  t.match(app.mediator.stats(), { streams: 0, detachedHandlers: 0 })
})

t.test('a client that reads slowly, and goes on reading, is not cut', async t => {
  const { app } = await createApp(t, { stallTimeoutMs: 500 })
  const end = deferred<StreamEnd>()
  app.mediator.onStreamEnd(end.resolve)
  const frames = 4_000
  app.mediator.addHandler(Count, async function * () {
    for (let n = 0; n < frames; n++) yield { n, text }
    return { total: frames }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const socket = await connected(t, await listen(app))
  let received = 0
  let tail = ''
  socket.on('data', chunk => {
    received += chunk.length
    tail = (tail + chunk.toString('latin1')).slice(-200)
    // Never for as long as the timeout, and for longer than it in all.
    socket.pause()
    setTimeout(() => socket.resume(), 4)
  })
  socket.write(requestTo(1))
  const { reason, frames: written, durationMs } = await end.promise
  t.equal(reason, 'completed')
  t.equal(written, frames + 2)
  while (!tail.includes('event: complete')) await once(socket, 'data')
  t.ok(received > frames * text.length, `${received} bytes in ${Math.round(durationMs)} ms`)
})

t.test('a client that sends its request slowly is closed by the server\'s requestTimeout, and starts nothing', async t => {
  // A requestTimeout that is shorter than Node's headersTimeout, 60 s by default, changes places with it.
  const { app } = await createApp(t, {}, { requestTimeout: 300, http: { headersTimeout: 200, connectionsCheckingInterval: 50 } } as object)
  let started = 0
  app.mediator.addHandler(Count, async function * () {
    started++
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  for (const head of ['POST /cou', post, `${post}content-length: 8\r\n\r\n{"to"`]) {
    const client = new RawClient(port)
    client.socket.write(head)
    await client.closed()
    t.match(client.text, /^HTTP\/1\.1 408 /, JSON.stringify(head.slice(-20)))
  }
  t.equal(started, 0)
  t.match(app.mediator.stats(), { streams: 0 })
})

t.test('5,000 connections that are reset before the first byte of their answer leave nothing behind', async t => {
  const resets = 5_000
  const atOnce = 100
  const { app } = await createApp(t, { commitAfterMs: Infinity })
  let started = 0
  let finished = 0
  const begins: Array<() => void> = []
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    started++
    begins.shift()?.()
    try {
      await once(signal, 'abort')
      yield { n: 1 }
      return { total: 1 }
    } finally {
      finished++
    }
  })
  let ended = 0
  app.mediator.onStreamEnd(({ reason, frames, bytes }) => {
    if (reason === 'client-closed' && frames === 0 && bytes === 0) ended++
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  let left = resets
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left-- > 0) {
      const socket = await connected(t, port)
      const begun = left % 4 === 0 ? deferred() : undefined
      if (begun !== undefined) begins.push(begun.resolve)
      socket.write(left % 2 === 0 ? requestTo(1) : requestTo(1).slice(0, -3))
      // Every second one has not even sent all of its request; of the others, some are reset before the handler has started.
      await begun?.promise
      socket.resetAndDestroy()
      if (!socket.closed) await once(socket, 'close')
    }
  }))
  while (app.mediator.stats().streams > 0) await turn()
  await app.close()
  t.ok(started >= resets / 4, `${started} handlers had started`)
  t.equal(finished, started)
  t.equal(ended, started)
  t.match(app.mediator.stats(), { streams: 0, owners: 0, detachedHandlers: 0, runningEventHandlers: 0, waitingEventHandlers: 0 })
  t.equal(app.server.listening, false)
})

async function connected (t: Test, port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  await once(socket, 'connect')
  t.teardown(() => { socket.destroy() })
  return socket
}
