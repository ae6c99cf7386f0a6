import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { commandRoute, defineCommand, defineEvent } from '../../index.js'
import type { StreamEnd } from '../../index.js'
import { Count, createApp, deferred, listen } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'
import { StreamEnds, nothing } from '../support/stream-ends.js'

const Emitted = defineEvent({ name: 'ends.emitted', payload: Type.Object({ depth: Type.Integer() }) })
const text = 'ü'.repeat(2_000)
const sse = 'text/event-stream'
const ndjson = 'application/x-ndjson'
const json = 'application/json'

function request (client: RawClient, label: string, accept: string): void {
  client.request('POST', '/count', { body: { to: 1, label }, headers: { accept } })
}

/** Frames and heartbeats, as they are in a body. */
function framesOf (body: string, accept: string): number {
  return body.split('\n').filter(line => accept === sse ? line.startsWith('id: ') : line !== '').length
}

for (const accept of [sse, ndjson]) {
  t.test(`counts the frames and bytes that a client gets, heartbeats included: ${accept}`, async t => {
    const { app } = await createApp(t, { heartbeatMs: 20 })
    const ends = new StreamEnds(app.mediator)
    const gate = deferred()
    app.mediator.addEventHandler(Emitted, ({ payload: { depth } }, { emit }) => { if (depth < 3) emit(Emitted, { depth: depth + 1 }) })
    app.mediator.addHandler(Count, async function * (_input, { emit }) {
      for (let n = 1; n <= 20; n++) {
        yield { n, text }
        yield undefined
      }
      emit(Emitted, { depth: 1 })
      emit(Emitted, { depth: 3 })
      await gate.promise
      return { total: 20 }
    })
    app.route(commandRoute(Count, { url: '/count' }))
    const client = new RawClient(await listen(app))
    const startedAt = performance.now()
    request(client, '', accept)
    // Three of them, whenever they come.
    await client.until(accept === sse ? '\r\n:\n\n\r\n' : '\r\n\n\r\n')
    const { length } = client.chunks
    while (client.chunks.length < length + 2) await once(client.socket, 'data')
    gate.resolve()
    await client.until('\r\n0\r\n\r\n')
    const [end] = await ends.until(1) as [StreamEnd]
    const bytes = client.body.length
    const frames = framesOf(client.body, accept)
    t.match(end, { reason: 'completed', command: 'count', owner: undefined, events: 4, error: undefined, frames, bytes })
    t.equal(frames, 22)
    t.ok(end.durationMs > 0 && end.durationMs < performance.now() - startedAt)
    t.equal(client.body.length - client.body.replaceAll(accept === sse ? /^:\n\n/gm : /^\n/gm, '').length >= 3, true, 'there were heartbeats')
    t.strictSame(app.mediator.stats(), nothing)
    client.socket.destroy()
  })
}

type Ending = (parts: { client: RawClient, app: FastifyInstance, release: () => void, reject: (error: Error) => void, abort: () => void }) => unknown

const endings: ReadonlyArray<readonly [reason: string, label: string, end: Ending, error: object | undefined, last: RegExp | undefined, status: number]> = [
  ['completed', '', ({ release }) => release(), undefined, /complete/, 200],
  ['failed', '', ({ reject }) => reject(new Error('broken')), { message: 'broken' }, /failed.*INTERNAL_SERVER_ERROR/s, 500],
  ['failed', 'unwritable', ({ release }) => release(), { code: 'MEDIATOR_ERR_INVALID_OUTPUT' }, /failed.*MEDIATOR_ERR_INVALID_OUTPUT/s, 500],
  // To a reader of JSON its progress is not written: there it is the result.
  ['failed', 'unwritable progress', ({ release }) => release(), { code: 'MEDIATOR_ERR_INVALID_OUTPUT' }, /failed.*MEDIATOR_ERR_INVALID_OUTPUT/s, 500],
  ['failed', 'event', ({ release }) => release(), { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED' }, /failed.*MEDIATOR_ERR_EVENT_HANDLER_FAILED/s, 500],
  ['client-closed', '', ({ client }) => client.socket.destroy(), { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'client-closed' }, undefined, 0],
  ['client-closed', '', ({ client }) => client.socket.resetAndDestroy(), { reason: 'client-closed' }, undefined, 0],
  ['cancelled', '', ({ abort }) => abort(), { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'cancelled' }, /failed.*MEDIATOR_ERR_CANCELLED/s, 409],
  ['deadline', 'deadline', () => {}, { reason: 'deadline' }, /failed.*MEDIATOR_ERR_DEADLINE/s, 504],
  ['shutdown', '', ({ app }) => { void app.close() }, { reason: 'shutdown' }, /failed.*MEDIATOR_ERR_SHUTTING_DOWN/s, 503]
]
for (const accept of [sse, ndjson, json]) {
  for (const [reason, label, end, error, last, status] of endings) {
    t.test(`tells of a stream of ${accept} that ended: ${reason} ${label} ${status}`, async t => {
      const { app, logs } = await createApp(t, { maxStreams: 1 })
      const ends = new StreamEnds(app.mediator)
      const gate = deferred()
      const started = deferred<AbortController>()
      app.mediator.addEventHandler(Emitted, () => { throw new Error('broken') })
      app.mediator.addHandler(Count, async function * ({ label }, { signal, emit }) {
        yield { n: 1 }
        const controller = new AbortController()
        const aborted = new Promise<never>((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
          controller.signal.addEventListener('abort', () => reject(signal.reason))
        })
        started.resolve(controller)
        await Promise.race([gate.promise, aborted])
        if (label === 'event') {
          emit(Emitted, { depth: 1 })
          yield { n: 2 }
          await aborted
        }
        if (label === 'unwritable progress') yield { n: 'many' as never }
        return { total: label.startsWith('unwritable') ? 'many' as never : 1 }
      }, label === 'deadline' ? { maxStreamMs: 50 } : {})
      // Reaches the stream of a request, which an app has no hold of.
      const streams: Array<{ abort: () => void }> = []
      const make = app.mediator.stream.bind(app.mediator)
      app.mediator.stream = (...parameters) => {
        const stream = make(...parameters)
        streams.push(stream)
        return stream
      }
      app.route(commandRoute(Count, { url: '/count' }))
      const client = new RawClient(await listen(app))
      request(client, label, accept)
      await started.promise
      if (accept !== json) await client.until('"n":1')
      await end({ client, app, release: gate.resolve, reject: gate.reject, abort: () => streams[0]!.abort() })
      const [told] = await ends.until(1) as [StreamEnd]
      t.match(told, { reason, command: 'count', streamId: /^[\w-]{22}$/, events: label === 'event' ? 1 : 0 })
      if (error === undefined) t.equal(told.error, undefined)
      else t.match(told.error, error)
      if (last !== undefined) {
        await client.until(accept === json ? '\r\n\r\n' : '\r\n0\r\n\r\n')
        if (accept === json) {
          t.match(client.text, new RegExp(`^HTTP/1.1 ${status} `))
          t.match(told, { frames: 0, bytes: 0 })
        } else {
          t.match(client.body, last)
          t.match(told, { frames: framesOf(client.body, accept), bytes: client.body.length })
        }
      }
      await turn()
      t.equal(ends.all.length, 1)
      t.strictSame(app.mediator.stats(), nothing)
      t.strictSame(logs.filter(({ level }) => level >= 40).map(({ msg }) => msg), reason === 'failed'
        ? [...label === 'event' ? ['event handler failed'] : [], accept === json ? 'request failed' : 'stream ended']
        : [])
      client.socket.destroy()
    })
  }
}

t.test('tells of a stream whose client did not read, as stalled, with what was written', async t => {
  const { app, logs } = await createApp(t, { stallTimeoutMs: 200 })
  const ends = new StreamEnds(app.mediator)
  app.mediator.addHandler(Count, async function * () { for (let n = 1; ; n++) yield { n, text } })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  request(client, '', sse)
  await client.until('"n":1')
  client.socket.pause()
  const [end] = await ends.until(1) as [StreamEnd]
  t.match(end, { reason: 'stalled', error: { reason: 'stalled' } })
  t.ok(end.frames > 10 && end.bytes > 10_000, `${end.frames} frames, ${end.bytes} bytes`)
  t.match(logs.filter(({ msg }) => msg === 'stream ended'), [{ reason: 'stalled' }])
  t.strictSame(app.mediator.stats(), nothing)
  client.socket.destroy()
})

t.test('a reader that pauses for less than stallTimeoutMs is not cut', async t => {
  const { app } = await createApp(t, { stallTimeoutMs: 30_000 })
  const ends = new StreamEnds(app.mediator)
  let yielded = 0
  app.mediator.addHandler(Count, async function * () {
    for (; yielded < 4_000;) yield { n: ++yielded, text }
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  request(client, '', sse)
  await client.until('"n":1')
  client.socket.pause()
  // Stands still: its buffers are full.
  for (let before = -1, same = 0; same < 50; before = yielded) {
    await turn()
    same = yielded === before ? same + 1 : 0
  }
  client.socket.resume()
  const [end] = await ends.until(1) as [StreamEnd]
  t.match(end, { reason: 'completed', frames: 4_002 })
  client.socket.destroy()
})

// What the stream came to is one thing, and whether its client stayed to read the last of it another.
const Big = defineCommand({ name: 'big', input: Type.Object({}), progress: Type.Object({}), result: Type.String() })
for (const leaves of [false, true]) {
  t.test(`a stream whose last frame was written is completed, though its client ${leaves ? 'leaves' : 'is cut because it does not read'}`, async t => {
    const { app, logs } = await createApp(t, { stallTimeoutMs: leaves ? 30_000 : 200, maxFrameBytes: Infinity })
    const ends = new StreamEnds(app.mediator)
    // More than the buffers of the kernel hold.
    const result = 'x'.repeat(20_000_000)
    app.mediator.addHandler(Big, async function * () { return result })
    app.route(commandRoute(Big, { url: '/big' }))
    const client = new RawClient(await listen(app))
    client.socket.pause()
    client.request('POST', '/big', { body: {} })
    while (!logs.some(({ msg }) => msg === 'stream ended')) await turn()
    t.strictSame(ends.all, [], 'its reply is not closed')
    t.strictSame(app.mediator.stats(), nothing, 'and yet it has settled')
    if (leaves) client.socket.resetAndDestroy()
    await ends.until(1)
    t.match(ends.all, [{ reason: 'completed', frames: 2, error: undefined }])
    t.ok(ends.all[0]!.bytes > 20_000_000)
    t.match(logs.filter(({ msg }) => /was cut/.test(msg)), leaves ? [] : [{ level: 30, reason: 'stalled', command: 'big' }])
    client.socket.destroy()
  })
}

t.test('tells of a stream when its events have settled and its reply is closed, whichever comes last', async t => {
  const { app } = await createApp(t)
  const ends = new StreamEnds(app.mediator)
  const gate = deferred()
  const handled = deferred()
  app.mediator.addEventHandler(Emitted, async () => {
    handled.resolve()
    await gate.promise
  })
  app.mediator.addHandler(Count, async function * (_input, { emit, signal }) {
    emit(Emitted, { depth: 1 })
    yield { n: 1 }
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  request(client, '', sse)
  await client.until('"n":1')
  await handled.promise
  client.socket.destroy()
  while (await new Promise<number>(resolve => app.server.getConnections((_error, count) => resolve(count))) > 0) await turn()
  await turn()
  t.strictSame(ends.all, [], 'the event is being handled')
  t.strictSame(app.mediator.stats(), { ...nothing, streams: 1, runningEventHandlers: 1 })
  gate.resolve()
  await ends.until(1)
  t.match(ends.all, [{ reason: 'client-closed', events: 1, frames: 2 }])
  t.strictSame(app.mediator.stats(), nothing)
})
