import { setImmediate as turn } from 'node:timers/promises'
import v8 from 'node:v8'
import vm from 'node:vm'
import t from 'tap'
import type { Test } from 'tap'
import { commandRoute } from '../../index.js'
import type { StreamingMediatorOptions } from '../../index.js'
import { Add, Count, createApp, deferred, listen } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'
import { StreamEnds, nothing } from '../support/stream-ends.js'

const post = { body: { to: 1 } }
const warnings = (logs: readonly LogLine[]): LogLine[] => logs.filter(({ level }) => level >= 40)
const text = 'x'.repeat(4_000)

interface Ignoring {
  readonly what: string
  /** What it does when the test lets it go on. */
  readonly handler: (gate: Promise<void>) => AsyncGenerator<{ n: number }, { total: number }, void>
  /** What is logged when it has ended. */
  readonly warnings?: object[]
}

const ignoring: Ignoring[] = [
  {
    what: 'that returns later',
    handler: async function * (gate) {
      yield { n: 1 }
      await gate
      return { total: 1 }
    }
  },
  {
    what: 'that yields later',
    handler: async function * (gate) {
      yield { n: 1 }
      await gate
      for (let n = 2; ; n++) yield { n }
    }
  },
  {
    what: 'that throws later',
    handler: async function * (gate) {
      yield { n: 1 }
      await gate
      throw new Error('late')
    },
    warnings: [{ msg: 'handler failed after its stream had ended', err: { message: 'late' } }]
  },
  {
    what: 'whose cleanup takes long',
    handler: async function * (gate) {
      try {
        for (let n = 1; ; n++) {
          yield { n }
          await new Promise(resolve => setImmediate(resolve))
        }
      } finally {
        await gate
      }
    }
  }
]

for (const { what, handler, warnings: later = [] } of ignoring) {
  t.test(`lets go of a handler ${what} when its client has left`, async t => {
    const { app, logs } = await createApp(t, { maxStreams: 1 })
    const ends = new StreamEnds(app.mediator)
    const gate = deferred()
    const ended = deferred()
    app.mediator.addHandler(Count, async function * () {
      try {
        return yield * handler(gate.promise)
      } finally {
        ended.resolve()
      }
    })
    app.route(commandRoute(Count, { url: '/count' }))
    const port = await listen(app)
    const client = new RawClient(port)
    client.request('POST', '/count', post)
    await client.until('"n":1')
    const leftAt = performance.now()
    client.socket.resetAndDestroy()
    await ends.until(1)
    const tookMs = performance.now() - leftAt
    t.ok(tookMs > 900 && tookMs < 3_000, `let go after ${tookMs.toFixed(0)} ms`)
    t.match(ends.all, [{ reason: 'client-closed', command: 'count' }])
    t.strictSame(app.mediator.stats(), { ...nothing, detachedHandlers: 1 })
    const { streamId } = ends.all[0]!
    t.match(warnings(logs), [{ level: 40, command: 'count', streamId, reason: 'client-closed', ageMs: Number, msg: /handler goes on although its stream has ended/ }])
    t.ok(Number(warnings(logs)[0]!.ageMs) >= 900)

    // Its slot is free.
    const next = new RawClient(port)
    next.request('POST', '/count', post)
    await next.until('"n":1')
    next.socket.resetAndDestroy()
    gate.resolve()
    await ended.promise
    await ends.until(2)
    while (app.mediator.stats().detachedHandlers > 0) await turn()
    t.strictSame(app.mediator.stats(), nothing)
    t.match(warnings(logs).slice(1).filter(line => line.streamId === streamId), later)
    t.equal(warnings(logs).filter(({ msg }) => msg.startsWith('handler goes on')).length, 1, 'reported once')
  })
}

t.test('lets go of a handler without progress as well, at its deadline', async t => {
  const { app, logs } = await createApp(t, { maxStreams: 1 })
  const ends = new StreamEnds(app.mediator)
  const gates = [deferred(), deferred()] as const
  let started = 0
  app.mediator.addHandler(Add, async ({ a, b }) => {
    await gates[started++]!.promise
    return a + b
  }, { maxStreamMs: 30 })
  app.route(commandRoute(Add, { url: '/add' }))
  const url = `http://127.0.0.1:${await listen(app)}/add`
  const add = async (): Promise<Response> => await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1,"b":2}' })
  const response = await add()
  t.match([response.status, await response.json()], [504, { code: 'MEDIATOR_ERR_DEADLINE', retryable: false }])
  await ends.until(1)
  t.strictSame(app.mediator.stats(), { ...nothing, detachedHandlers: 1 })
  t.equal((await add()).status, 504, 'its slot is free')
  await ends.until(2)
  t.strictSame(app.mediator.stats(), { ...nothing, detachedHandlers: 2 })
  t.match(warnings(logs), Array.from({ length: 2 }, () => ({ level: 40, command: 'add', reason: 'deadline' })))
  gates[0].reject(new Error('late'))
  while (app.mediator.stats().detachedHandlers > 1) await turn()
  gates[1].resolve()
  while (app.mediator.stats().detachedHandlers > 0) await turn()
  t.strictSame(app.mediator.stats(), nothing)
})

t.test('lets go of a handler that ignores a stall, whose socket is closed at once', async t => {
  const { app, logs } = await createApp(t, { stallTimeoutMs: 300 })
  const ends = new StreamEnds(app.mediator)
  const gate = deferred()
  app.mediator.addHandler(Count, async function * () {
    try {
      for (let n = 1; ; n++) yield { n, text }
    } finally {
      await gate.promise
    }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', post)
  await client.until('"n":1')
  client.socket.pause()
  const [socket] = await new Promise<[number]>(resolve => app.server.getConnections((_error, count) => resolve([count])))
  t.equal(socket, 1)
  while (!logs.some(({ msg, reason }) => msg === 'stream ended' && reason === 'stalled')) await turn()
  await turn()
  t.equal(await new Promise(resolve => app.server.getConnections((_error, count) => resolve(count))), 0, 'the socket is closed')
  t.strictSame(app.mediator.stats(), { ...nothing, streams: 1 }, 'its handler has its second')
  await ends.until(1)
  t.match(ends.all, [{ reason: 'stalled' }])
  t.strictSame(app.mediator.stats(), { ...nothing, detachedHandlers: 1 })
  t.match(warnings(logs), [{ reason: 'stalled', command: 'count' }])
  gate.resolve()
  while (app.mediator.stats().detachedHandlers > 0) await turn()
})

t.test('counts a handler that never ends for ever, and reports it once', async t => {
  const { app, logs } = await createApp(t)
  const ends = new StreamEnds(app.mediator)
  app.mediator.addHandler(Count, async function * () {
    for (let n = 1; ; n++) {
      try {
        yield { n }
      } finally {
        // eslint-disable-next-line no-unsafe-finally
        continue
      }
    }
  })
  const stream = app.mediator.stream(Count, { to: 1, label: '' })
  const iterator = stream[Symbol.asyncIterator]()
  await iterator.next()
  await iterator.return!()
  await ends.until(1)
  t.strictSame(app.mediator.stats(), { ...nothing, detachedHandlers: 1 })
  t.equal(warnings(logs).length, 1)
})

t.test('counts a detached handler down once, though its iterator ends twice', async t => {
  const { app } = await createApp(t)
  const ends = new StreamEnds(app.mediator)
  const [step, end] = [deferred<IteratorResult<{ n: number }, { total: number }>>(), deferred<IteratorResult<{ n: number }, { total: number }>>()]
  app.mediator.addHandler(Count, () => ({
    [Symbol.asyncIterator]: () => ({ next: async () => await step.promise, return: async () => await end.promise })
  }))
  const stream = app.mediator.stream(Count, { to: 1, label: '' })
  const reading = stream.result.catch(() => {})
  while (app.mediator.stats().streams === 0) await turn()
  stream.abort()
  await ends.until(1)
  await reading
  t.equal(app.mediator.stats().detachedHandlers, 1)
  const result = { done: true, value: { total: 1 } } as const
  end.resolve(result)
  await turn()
  t.equal(app.mediator.stats().detachedHandlers, 0)
  step.resolve(result)
  await turn()
  t.equal(app.mediator.stats().detachedHandlers, 0)
  t.equal(ends.all.length, 1)
})

// What a detached handler holds is its own: not the socket, and nothing that hangs on it.
const collectGarbage = ((): () => void => {
  v8.setFlagsFromString('--expose-gc')
  return vm.runInNewContext('gc') as () => void
})()

async function collected (ref: WeakRef<object>): Promise<boolean> {
  for (let attempt = 0; attempt < 50; attempt++) {
    await turn()
    collectGarbage()
    if (ref.deref() === undefined) return true
  }
  return false
}

async function leaveBehind (t: Test, options: StreamingMediatorOptions, accept: string): Promise<{ socket: WeakRef<object>, release: () => void }> {
  const { app } = await createApp(t, options)
  const ends = new StreamEnds(app.mediator)
  const gate = deferred()
  app.mediator.addHandler(Count, async function * (_input, context) {
    // The log of the stream is made from the request's.
    context.log.info('begun')
    void context.signal
    started.resolve()
    yield { n: 1 }
    await gate.promise
    context.log.info('done')
    return { total: 1 }
  })
  const started = deferred()
  let socket!: WeakRef<object>
  app.route(commandRoute(Count, { url: '/count', onRequest: async ({ raw }) => { socket = new WeakRef(raw.socket) } }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', { ...post, headers: { accept } })
  await started.promise
  client.socket.resetAndDestroy()
  await ends.until(1)
  t.equal(app.mediator.stats().detachedHandlers, 1)
  return { socket, release: gate.resolve }
}

for (const accept of ['text/event-stream', 'application/json']) {
  t.test(`a handler that was let go does not hold the socket of its client, who asked for ${accept}`, async t => {
    const { socket, release } = await leaveBehind(t, {}, accept)
    t.ok(await collected(socket))
    release()
  })
}
