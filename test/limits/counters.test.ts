import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { commandRoute, defineCommand, defineEvent, withFallback } from '../../index.js'
import type { HandlerContext, StreamingMediator } from '../../index.js'
import { Add, Count, createApp, listen } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'
import { StreamEnds, nothing } from '../support/stream-ends.js'

// The worst mistake of a limit is a counter that does not go back: then a server refuses everybody, some day.

const Noted = defineEvent({ name: 'counters.noted', payload: Type.Object({}) })
const input = { to: 1, label: '' }
const aborted = async (signal: AbortSignal): Promise<never> => await new Promise((_resolve, reject) => {
  if (signal.aborted) reject(signal.reason)
  signal.addEventListener('abort', () => reject(signal.reason))
})
const settled = async (...work: Array<Promise<unknown>>): Promise<void> => { await Promise.allSettled(work) }

interface Case {
  readonly what: string
  readonly options?: { readonly maxStreamMs: number }
  readonly run: (mediator: StreamingMediator, owner: string) => Promise<void>
}

// Each runs with limits of 2, again and again: what it leaves behind makes it fail.
const cases: Case[] = [
  { what: 'success', run: async (mediator, owner) => { await mediator.send(Add, { a: 1, b: 2 }, { owner }) } },
  { what: 'streams that were made and never read', run: async (mediator, owner) => { mediator.stream(Add, { a: 1, b: 2 }, { owner }) } },
  {
    what: 'an abort before the start',
    run: async (mediator, owner) => {
      const stream = mediator.stream(Add, { a: 1, b: 2 }, { owner })
      stream.abort()
      await settled(stream.result, mediator.send(Add, { a: 1, b: 2 }, { owner, signal: AbortSignal.abort() }))
    }
  },
  { what: 'a handler that throws synchronously', run: async (mediator, owner) => await settled(mediator.send(Count, { to: 1, label: 'sync' }, { owner })) },
  { what: 'a failure before the first yield', run: async (mediator, owner) => await settled(mediator.send(Count, { to: 1, label: 'throw' }, { owner })) },
  { what: 'an iterator that throws when it is asked for', run: async (mediator, owner) => await settled(mediator.send(Count, { to: 1, label: 'iterator' }, { owner })) },
  { what: 'an unknown owner type', run: async (mediator) => await settled((async () => await mediator.send(Add, { a: 1, b: 2 }, { owner: 5 as never }))()) },
  {
    what: 'refused streams',
    run: async (mediator, owner) => await settled(...Array.from({ length: 5 }, async () => await mediator.send(Count, { to: 1, label: 'turn' }, { owner })))
  },
  { what: 'nested streams, of which one is refused', run: async (mediator, owner) => await settled(mediator.send(Count, { to: 1, label: 'nested' }, { owner })) },
  { what: 'a chain', run: async (mediator, owner) => { await mediator.send(Chained, 1, { owner }) } },
  { what: 'a fallback', run: async (mediator, owner) => { await mediator.send(Falling, 1, { owner }) } },
  {
    what: 'a stream that ends itself',
    run: async (mediator, owner) => {
      const controller = new AbortController()
      controllers.set(owner, controller)
      await settled(mediator.send(Count, { to: 1, label: owner }, { owner, signal: controller.signal }))
    }
  },
  {
    what: 'a deadline while the generator waits',
    run: async (mediator, owner) => await settled(mediator.send(Count, { to: 1, label: 'wait' }, { owner }))
  },
  {
    what: 'a deadline while its events are handled',
    run: async (mediator, owner) => {
      const stream = mediator.stream(Count, { to: 1, label: 'events' }, { owner })
      await settled(stream.result)
      if (stream.endReason !== 'deadline') throw new Error(stream.endReason)
    }
  },
  {
    what: 'leaving a loop, with a handler that yields in its finally',
    run: async (mediator, owner) => {
      // eslint-disable-next-line no-unreachable-loop, @typescript-eslint/no-unused-vars
      for await (const _ of mediator.stream(Count, { to: 1, label: 'finally' }, { owner })) break
    }
  }
]

const Chained = defineCommand({ name: 'chained', input: Type.Integer(), progress: Type.Integer(), result: Type.Integer() })
const Falling = defineCommand({ name: 'falling', input: Type.Integer(), progress: Type.Integer(), result: Type.Integer() })
const controllers = new Map<string, AbortController>()

function addHandlers (mediator: StreamingMediator): void {
  mediator.addHandler(Add, ({ a, b }) => a + b)
  mediator.addHandler(Chained, [async function * (_input, { next }) { return yield * next() }, async function * () {
    yield 1
    return 1
  }])
  mediator.addHandler(Falling, withFallback(async function * (): AsyncGenerator<number, number, void> {
    yield 1
    throw new Error('broken')
  }, async function * () { return 2 }))
  mediator.addEventHandler(Noted, async () => await new Promise<void>(resolve => setTimeout(resolve, 40)), { onError: 'log' })
  const counting = async function * (label: string, { emit, signal, mediator: calls }: HandlerContext): AsyncGenerator<{ n: number }, { total: number }, void> {
    try {
      if (label === 'throw') throw new Error('broken')
      if (label === 'turn') await turn()
      if (label === 'nested') await Promise.all([calls.send(Add, { a: 1, b: 2 }), calls.send(Add, { a: 1, b: 2 })])
      if (label === 'events') emit(Noted, {})
      yield { n: 1 }
      if (controllers.has(label)) controllers.get(label)!.abort()
      if (label === 'wait' || label === 'finally' || controllers.has(label)) await aborted(signal)
      return { total: 1 }
    } finally {
      if (label === 'finally') yield { n: 2 }
    }
  }
  mediator.addHandler(Count, ({ label }, context) => {
    if (label === 'sync') throw new Error('broken')
    if (label === 'iterator') return { [Symbol.asyncIterator]: () => { throw new Error('broken') } }
    return counting(label, context)
  }, { maxStreamMs: 20 })
}

for (const behaviors of [0, 2]) {
  for (const { what, run } of cases) {
    t.test(`nothing is counted after ${what}${behaviors > 0 ? ', inside of behaviors' : ''}`, async t => {
      const { app } = await createApp(t, { maxStreams: 2, maxStreamsPerOwner: 2 })
      // Holds the process, which the timers of deadlines do not.
      await listen(app)
      for (let each = 0; each < behaviors; each++) app.mediator.addBehavior(async function * (_call, next) { return yield * next() })
      addHandlers(app.mediator)
      for (let round = 0; round < 3; round++) {
        await run(app.mediator, 'ada')
        while (app.mediator.stats().streams > 0) await turn()
        t.strictSame(app.mediator.stats(), nothing)
      }
      t.equal(await app.mediator.send(Add, { a: 1, b: 2 }, { owner: 'ada' }), 3)
    })
  }
}

t.test('nothing is counted of 20,000 owners who came once', async t => {
  const { app } = await createApp(t)
  addHandlers(app.mediator)
  for (let each = 0; each < 20_000; each += 100) {
    await Promise.all(Array.from({ length: 100 }, async (_, index) => await app.mediator.send(Add, { a: 1, b: 2 }, { owner: `owner ${each + index}` })))
  }
  t.strictSame(app.mediator.stats(), nothing)
})

async function connections (app: FastifyInstance): Promise<number> {
  return await new Promise(resolve => app.server.getConnections((_error, count) => resolve(count)))
}

for (const accept of ['text/event-stream', 'application/x-ndjson', 'application/json']) {
  for (const [where, commitAfterMs] of [['in a hook', 50], ['in owner', 50], ['before the first yield', Infinity]] as const) {
    t.test(`nothing is counted after 50 clients of ${accept} reset their connection ${where}`, async t => {
      const gates: Array<() => void> = []
      const wait = async (): Promise<void> => await new Promise<void>(resolve => gates.push(resolve))
      const { app, logs } = await createApp(t, {
        maxStreams: 50,
        maxStreamsPerOwner: 50,
        commitAfterMs,
        owner: async () => {
          if (where === 'in owner') await wait()
          return 'ada'
        }
      })
      const ends = new StreamEnds(app.mediator)
      let started = 0
      let ended = 0
      app.mediator.addHandler(Count, async function * (_input, { signal }) {
        try {
          started++
          gates.push(() => {})
          await aborted(signal)
          return { total: 1 }
        } finally {
          ended++
        }
      })
      app.route(commandRoute(Count, { url: '/count', preHandler: async () => { if (where === 'in a hook') await wait() } }))
      const port = await listen(app)
      for (let round = 1; round <= 2; round++) {
        const clients = Array.from({ length: 50 }, () => new RawClient(port))
        for (const client of clients) client.request('POST', '/count', { body: { to: 1 }, headers: { accept } })
        while (gates.length < 50) await turn()
        for (const { socket } of clients) socket.resetAndDestroy()
        while (await connections(app) > 0) await turn()
        for (const go of gates.splice(0)) go()
        await turn()
        while (app.mediator.stats().streams > 0) await turn()
        t.strictSame(app.mediator.stats(), nothing)
      }
      t.equal(started, where === 'before the first yield' ? 100 : 0, 'a handler whose client has left is not started')
      t.equal(ended, started)
      t.strictSame(ends.reasons, Array.from({ length: started }, () => 'client-closed'))
      t.strictSame(logs.filter(({ level }) => level >= 40), [])
      t.strictSame(await app.mediator.send(Count, input, { signal: AbortSignal.timeout(10) }).catch((error: { reason: string }) => error.reason), 'cancelled')
    })
  }
}

t.test('nothing is counted after a shutdown in the middle of streams, publishes and refusals', async t => {
  const { app } = await createApp(t, { maxStreams: 20, maxStreamsPerOwner: 5, closeGraceMs: 20, owner: ({ headers }) => headers['x-user'] as string })
  const ends = new StreamEnds(app.mediator)
  app.mediator.addEventHandler(Noted, async (_event, { signal }) => await aborted(signal))
  app.mediator.addHandler(Count, async function * (_input, { emit, signal }) {
    emit(Noted, {})
    yield { n: 1 }
    await aborted(signal)
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const port = await listen(app)
  const accepts = ['text/event-stream', 'application/x-ndjson', 'application/json']
  const clients = Array.from({ length: 24 }, () => new RawClient(port))
  for (const [index, client] of clients.entries()) {
    client.request('POST', '/count', { body: { to: 1 }, headers: { accept: accepts[index % 3]!, 'x-user': `user ${Math.floor(index / 6)}` } })
  }
  const publishing = app.mediator.publish(Noted, {}).catch((error: { code: string }) => error.code)
  // Of each six one is refused.
  while (app.mediator.stats().streams < 20) await turn()
  t.match(app.mediator.stats(), { streams: 20, owners: 4, runningEventHandlers: 10, waitingEventHandlers: 11 })
  await app.close()
  t.strictSame(app.mediator.stats(), nothing)
  t.equal(await publishing, 'MEDIATOR_ERR_EVENT_HANDLER_FAILED')
  t.strictSame(ends.reasons, Array.from({ length: 20 }, () => 'shutdown'))
  for (const client of clients) client.socket.destroy()
})

for (const [what, onSend, status] of [
  ['fails', async () => { throw new Error('hook') }, 500],
  ['sends something else', async () => 'something else', 200]
] as const) {
  t.test(`nothing is counted after an onSend hook that ${what}`, async t => {
    const { app } = await createApp(t, { maxStreams: 1 })
    const ends = new StreamEnds(app.mediator)
    app.mediator.addHandler(Count, async function * (_input, { signal }) {
      yield { n: 1 }
      await aborted(signal)
      return { total: 1 }
    })
    app.route(commandRoute(Count, { url: '/count', onSend }))
    const url = `http://127.0.0.1:${await listen(app)}/count`
    for (let round = 1; round <= 2; round++) {
      const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"to":1}' })
      t.equal(response.status, status)
      await response.text()
      await ends.until(round)
      t.strictSame(app.mediator.stats(), nothing)
    }
    t.match(ends.all, [{ reason: 'cancelled', frames: 0, bytes: 0 }, { reason: 'cancelled', frames: 0, bytes: 0 }])
  })
}
