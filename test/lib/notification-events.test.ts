import { Type } from '@sinclair/typebox'
import type { TSchema } from '@sinclair/typebox'
import { CloudEvent, HTTP } from 'cloudevents'
import type { CloudEventV1 } from 'cloudevents'
import t from 'tap'
import type { Test } from 'tap'
import { defineCommand } from '../../lib/definition.js'
import { defineEvent, definedTopics, plainPayload } from '../../lib/event.js'
import type { EventDefinition } from '../../lib/event.js'
import { MemoryMessageBroker } from '../../lib/memory-message-broker.js'
import type { MessageBroker, MessageEnvelope } from '../../lib/message-broker.js'
import type { MediatorOptions } from '../../lib/mediator-options.js'
import type { StreamingMediator } from '../../lib/streaming-mediator.js'
import { collect, createMediator, deferred, rejection, within } from './support.js'
import type { LogLine } from './support.js'

const At = Type.Unsafe<Date>({ type: 'string', format: 'date-time' })
const Big = Type.Unsafe<bigint>({ type: 'integer' })

const Ship = defineCommand({ name: 'ship', input: Type.Any(), progress: Type.Integer(), result: Type.Any() })
const OrderShipped = defineEvent({ name: 'order.shipped', topic: 'orders', payload: Type.Object({ orderId: Type.String() }) })
const StockMoved = defineEvent({ name: 'stock.moved', topic: 'stock', payload: Type.Object({ orderId: Type.String() }) })
const Noted = defineEvent({ name: 'noted', payload: Type.Any() })

interface Recording {
  readonly mediator: StreamingMediator
  readonly logs: LogLine[]
  readonly published: MessageEnvelope[]
}

/** A mediator whose broker keeps each attempt and does what the test wants. */
function createRecording (t: Test, publish: MessageBroker['publish'] = async () => {}, options: MediatorOptions = {}): Recording {
  const published: MessageEnvelope[] = []
  const messageBroker: MessageBroker = {
    publish: async (envelope, options) => {
      published.push(envelope)
      return await publish(envelope, options)
    }
  }
  return { ...createMediator(t, { messageBroker, ...options }), published }
}

async function fail (): Promise<void> { throw new Error('the broker is away') }

t.test('the envelope', async t => {
  t.test('tells who, what, when and where', async t => {
    const { mediator, published } = createRecording(t)
    const before = Date.now()
    await mediator.publish(OrderShipped, { orderId: 'a' })
    const after = Date.now()
    const [envelope] = published
    t.strictSame(envelope, {
      specversion: '1.0',
      id: envelope!.id,
      source: '/mediator',
      type: 'order.shipped',
      time: envelope!.time,
      datacontenttype: 'application/json',
      topic: 'orders',
      data: { orderId: 'a' }
    })
    t.match(envelope!.id, /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/)
    t.equal(new Date(envelope!.time).toISOString(), envelope!.time)
    t.ok(Date.parse(envelope!.time) >= before && Date.parse(envelope!.time) <= after)
  })

  t.test('names the stream that emitted the event, also for follow-ups and with a source of the app', async t => {
    const { mediator, published } = createRecording(t, undefined, { eventSource: 'urn:example:orders' })
    mediator.addHandler(Ship, async function * (_input, { emit }) {
      emit(OrderShipped, { orderId: 'a' })
      yield 1
      emit(Noted, 'b')
      return null
    })
    mediator.addEventHandler(Noted, ({ payload }, { emit }) => { emit(StockMoved, { orderId: payload as string }) })
    const stream = mediator.stream(Ship, null)
    await stream.result
    t.match(published, [
      { type: 'order.shipped', topic: 'orders', source: 'urn:example:orders', streamid: stream.streamId, data: { orderId: 'a' } },
      { type: 'stock.moved', topic: 'stock', source: 'urn:example:orders', streamid: stream.streamId, data: { orderId: 'b' } }
    ])
    t.not(published[0]!.id, published[1]!.id)
  })

  for (const [payload, value] of [
    [Type.Object({ orderId: Type.String(), at: At }), { orderId: 'a', at: new Date(0) }],
    [Type.String(), 'a "text"\n'],
    [Type.Array(Type.Integer()), [1, 2]]
  ] as Array<[TSchema, unknown]>) {
    t.test(`is a CloudEvent for the SDK with the payload ${JSON.stringify(value)}`, async t => {
      const { mediator, published } = createRecording(t)
      mediator.addHandler(Ship, (_input, { emit }) => { emit(defineEvent({ name: 'shipped', topic: 'Orders of Köln', payload }), value as never) })
      await mediator.send(Ship, null)
      const envelope = published[0]!
      t.equal(new CloudEvent(envelope).validate(), true)
      // As a broker's client writes it.
      const sent = { headers: { 'content-type': 'application/cloudevents+json' }, body: JSON.stringify(envelope) }
      const received = HTTP.toEvent(sent) as CloudEventV1<unknown>
      t.strictSame(JSON.parse(JSON.stringify(received)), envelope)
      t.strictSame(received.data, JSON.parse(JSON.stringify(value)))
      const again = HTTP.toEvent(HTTP.structured(new CloudEvent(envelope))) as CloudEventV1<unknown>
      t.strictSame(JSON.parse(JSON.stringify(again)), envelope)
      t.match(again, { id: envelope.id, topic: 'Orders of Köln', streamid: /^[\w-]{22}$/ })
    })
  }

  t.test('is made once: it stays the same over attempts, and is what handlers of the event get', async t => {
    let attempts = 0
    const { mediator, published } = createRecording(t, async () => { if (++attempts < 3) throw new Error('not now') }, { brokerPolicy: { retries: 2 } })
    const handled: unknown[] = []
    mediator.addEventHandler(OrderShipped, ({ envelope }) => { handled.push(envelope) })
    await mediator.publish(OrderShipped, { orderId: 'a' })
    t.equal(published.length, 3)
    t.strictSame(new Set(published.map(({ id, time }) => `${id} ${time}`)).size, 1)
    t.equal(handled[0], published[0])
  })

  t.test('differs for each emit of the same event', async t => {
    const { mediator, published } = createRecording(t)
    for (const orderId of ['a', 'a']) await mediator.publish(OrderShipped, { orderId })
    t.not(published[0]!.id, published[1]!.id)
  })

  t.test('cannot be changed, neither by what its emitter does to the payload later nor by who gets it', async t => {
    const { mediator, published } = createRecording(t)
    const Packed = defineEvent({ name: 'packed', topic: 'orders', payload: Type.Object({ items: Type.Array(Type.Object({ sku: Type.String() })) }) })
    mediator.addEventHandler(Packed, ({ envelope }) => {
      const data = envelope!.data as { items: Array<{ sku: string }> }
      t.throws(() => { (envelope as { id: string }).id = 'other' }, TypeError)
      t.throws(() => { data.items[0]!.sku = 'other' }, TypeError)
      t.throws(() => { data.items.pop() }, TypeError)
    })
    mediator.addHandler(Ship, async function * (_input, { emit }) {
      const payload = { items: [{ sku: 'x' }] }
      emit(Packed, payload)
      payload.items[0]!.sku = 'changed'
      payload.items.push({ sku: 'late' })
      yield 1
    })
    await mediator.send(Ship, null)
    t.strictSame(published[0]!.data, { items: [{ sku: 'x' }] })
  })

  t.test('is not made for an event without a topic', async t => {
    const { mediator, published } = createRecording(t)
    const handled: unknown[] = []
    mediator.addEventHandler(Noted, event => { handled.push(event) })
    await mediator.publish(Noted, 1)
    t.strictSame(handled, [{ name: 'noted', payload: 1 }])
    t.strictSame(published, [])
  })
})

t.test('the payload of an event with a topic', async t => {
  const eventOf = (payload: TSchema): EventDefinition => defineEvent({ name: 'made', topic: 'made', payload })

  for (const [what, payload, value, plain] of [
    ['a Date', Type.Object({ at: At }), { at: new Date(0) }, { at: '1970-01-01T00:00:00.000Z' }],
    ['a bigint', Type.Object({ size: Big }), { size: 2n ** 53n - 1n }, { size: 9007199254740991 }],
    ['an object with toJSON', Type.Any(), { toJSON: () => ({ a: 1 }) }, { a: 1 }],
    ['a typed object with toJSON', Type.Object({ a: Type.Integer() }), { a: 1, toJSON: () => ({ a: 2, b: 3 }) }, { a: 2 }],
    ['an instance of a class', Type.Object({ a: Type.Integer() }), new (class { a = 1; #b = 2; get b (): number { return this.#b } })(), { a: 1 }],
    ['keys that the schema does not name', Type.Object({ a: Type.Integer() }), { a: 1, password: 'x' }, { a: 1 }],
    ['undefined where it is optional', Type.Object({ a: Type.Optional(Type.Integer()) }), { a: undefined }, {}],
    ['a number that no safe integer is', Type.Number(), 1e300, 1e300],
    ['a text', Type.String(), 'a', 'a']
  ] as Array<[string, TSchema, unknown, unknown]>) {
    t.test(`becomes plain where it holds ${what}`, async t => {
      t.strictSame(plainPayload(eventOf(payload), value), plain)
    })
  }

  const cyclic: Record<string, unknown> = {}
  cyclic['self'] = cyclic
  let deep: unknown = {}
  for (let n = 0; n < 100_000; n++) deep = { deep }
  for (const [what, payload, value, message] of [
    ['a wrong type', Type.Object({ orderId: Type.String() }), { orderId: 5 }, /"made".*orderId must be string/],
    ['a missing key', Type.Object({ orderId: Type.String() }), {}, /orderId is required/],
    ['no payload', Type.Object({ orderId: Type.String() }), undefined, /must be object/],
    ['undefined for anything', Type.Any(), undefined, /cannot be written as JSON/],
    ['a function', Type.Any(), () => {}, /cannot be written as JSON/],
    ['a cycle', Type.Any(), cyclic, /circular/],
    ['a bigint in anything', Type.Any(), { size: 5n }, /BigInt/],
    ['a bigint that no number holds', Type.Object({ size: Big }), { size: 2n ** 53n }, /size .*safe integer/],
    ['a negative bigint that no number holds', Type.Object({ size: Big }), { size: -(2n ** 60n) }, /size .*safe integer/],
    ['NaN', Type.Number(), NaN, /must be number/],
    ['a Date that is none', Type.Object({ at: At }), { at: new Date(NaN) }, /at must be a valid Date/],
    ['more depth than a stack', Type.Any(), deep, /stack/],
    ['a getter that throws', Type.Any(), { get a () { throw new Error('unreadable') } }, /unreadable/],
    ['a getter that throws null', Type.Object({ a: Type.Any() }), { get a () { throw null } }, /null/], // eslint-disable-line no-throw-literal
    ['toJSON that gives something else', Type.Object({ a: Type.Integer() }), { a: 1, toJSON: () => null }, /is required/]
  ] as Array<[string, TSchema, unknown, RegExp]>) {
    t.test(`is refused where it holds ${what}`, async t => {
      t.throws(() => plainPayload(eventOf(payload), value), { code: 'MEDIATOR_ERR_INVALID_PAYLOAD', statusCode: 500, message })
    })
  }

  t.test('fails a stream at the emit, and only where its handler lets it', async t => {
    const { mediator, published } = createRecording(t)
    const bad = { orderId: 5 } as unknown as { orderId: string }
    mediator.addHandler(Ship, async function * (mayFail, { emit }) {
      emit(OrderShipped, { orderId: 'a' })
      try {
        emit(OrderShipped, bad)
      } catch (error) {
        if (mayFail === true) throw error
        t.match(error, { code: 'MEDIATOR_ERR_INVALID_PAYLOAD' })
      }
      emit(OrderShipped, { orderId: 'b' })
      yield 1
      return 'done'
    })
    t.equal(await mediator.send(Ship, false), 'done')
    t.strictSame(published.map(({ data }) => data), [{ orderId: 'a' }, { orderId: 'b' }])
    published.length = 0
    t.match(await rejection(mediator.send(Ship, true)), { code: 'MEDIATOR_ERR_INVALID_PAYLOAD' })
    t.strictSame(published.map(({ data }) => data), [{ orderId: 'a' }], 'what was emitted before is a fact')
    t.match(await rejection(mediator.publish(OrderShipped, bad)), { code: 'MEDIATOR_ERR_INVALID_PAYLOAD' })
  })

  t.test('is given to handlers in this process as it was emitted', async t => {
    const { mediator } = createRecording(t)
    const handled: unknown[] = []
    mediator.addEventHandler(OrderShipped, ({ payload }) => { handled.push(payload) })
    const payload = { orderId: 'a', secret: 'x' }
    await mediator.publish(OrderShipped, payload)
    t.equal(handled[0], payload)
  })

  t.test('is refused of a copy of a definition, whose schema nobody has compiled', async t => {
    const { mediator } = createRecording(t)
    await t.rejects(mediator.publish({ ...OrderShipped }, { orderId: 'a' }), { code: 'MEDIATOR_ERR_INVALID_DEFINITION' })
  })
})

t.test('a topic', async t => {
  for (const topic of ['orders', 'a', 'orders/eu.west_1', 'Orders of Köln', '注文', 'x'.repeat(255)]) {
    t.test(`may be ${JSON.stringify(topic.slice(0, 20)).replaceAll(/[^ -~]/g, '?')}`, async t => {
      t.equal(defineEvent({ name: 'a', topic, payload: Type.Null() }).topic, topic)
      t.ok(definedTopics().has(topic))
    })
  }

  for (const topic of ['', ' ', ' orders', 'orders ', 'a\nb', 'a\u0000', 'a\u007f', '\ud800', 'a\u2028', 'x'.repeat(256), 5, null, {}, Symbol('s')]) {
    t.test(`is refused where it is ${JSON.stringify(String(topic).slice(0, 20)).replaceAll(/[^ -~]/g, '?')}`, async t => {
      t.throws(() => defineEvent({ name: 'order.shipped', topic: topic as string, payload: Type.Null() }), {
        code: 'MEDIATOR_ERR_INVALID_DEFINITION', message: /"order\.shipped" needs a topic/
      })
      t.notOk(definedTopics().has(topic as string))
    })
  }

  t.test('needs a payload schema that can be compiled, and leaves no trace without one', async t => {
    t.throws(() => defineEvent({ name: 'dated', topic: 'never defined', payload: Type.Date() }), {
      code: 'MEDIATOR_ERR_INVALID_DEFINITION', message: /"dated" has a payload schema that cannot be compiled/
    })
    t.notOk(definedTopics().has('never defined'))
    t.doesNotThrow(() => defineEvent({ name: 'dated', payload: Type.Date() }), 'an event that stays in the process may carry anything')
  })
})

t.test('without a broker', async t => {
  const missing = { code: 'MEDIATOR_ERR_BROKER_MISSING', message: /"order\.shipped".*"orders".*NullMessageBroker/, statusCode: 500 }

  t.test('an event with a topic fails where it is emitted and published', async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Ship, async function * (_input, { emit }) {
      yield 1
      emit(OrderShipped, { orderId: 'a' })
    })
    t.match(await rejection(mediator.send(Ship, null)), missing)
    t.match(await rejection(mediator.publish(OrderShipped, { orderId: 'a' })), missing)
  })

  t.test('a follow-up with a topic fails its event handler', async t => {
    const { mediator } = createMediator(t)
    mediator.addEventHandler(Noted, (_event, { emit }) => { emit(OrderShipped, { orderId: 'a' }) })
    t.match(await rejection(mediator.publish(Noted, 1)), { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause: missing })
  })
})

t.test('publishing', async t => {
  t.test('takes place beside the handlers of the event in this process', async t => {
    const broker = new MemoryMessageBroker()
    const { mediator } = createMediator(t, { messageBroker: broker })
    const order: string[] = []
    const gate = deferred()
    mediator.addEventHandler(OrderShipped, async () => {
      order.push('handler')
      await gate.promise
    })
    broker.subscribe('orders', () => {
      order.push('subscriber')
      gate.resolve()
    })
    await within(1_000, mediator.publish(OrderShipped, { orderId: 'a' }))
    t.strictSame(order, ['handler', 'subscriber'])
  })

  t.test('holds complete until the broker has acknowledged, and progress not', async t => {
    const gate = deferred()
    const { mediator } = createRecording(t, () => gate.promise)
    mediator.addHandler(Ship, async function * (_input, { emit }) {
      emit(OrderShipped, { orderId: 'a' })
      yield 1
      return 'done'
    })
    const stream = mediator.stream(Ship, null)
    const steps = stream[Symbol.asyncIterator]()
    t.strictSame(await within(1_000, steps.next()), { done: false, value: 1 })
    let done = false
    const last = steps.next().then(() => { done = true })
    await new Promise(setImmediate)
    t.equal(done, false)
    gate.resolve()
    await within(1_000, last)
    t.equal(await stream.result, 'done')
  })

  t.test('fails the stream with what the broker threw, after its retries', async t => {
    const { mediator, published, logs } = createRecording(t, fail, { brokerPolicy: { retries: 1 } })
    mediator.addHandler(Ship, async function * (_input, { emit }) {
      emit(OrderShipped, { orderId: 'a' })
      yield 1
      return 'done'
    })
    t.match(await rejection(mediator.send(Ship, null)), { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause: { message: 'the broker is away' } })
    t.equal(published.length, 2)
    t.match(logs, [
      { level: 40, msg: 'event handler failed, it will run again', event: 'order.shipped', attempt: 1, retriesLeft: 1 },
      { level: 50, msg: 'event handler failed', event: 'order.shipped', command: 'ship', err: { message: 'the broker is away' } }
    ])
  })

  t.test('fails with a broker that throws instead of rejecting', async t => {
    const { mediator } = createMediator(t, { messageBroker: { publish: () => { throw new Error('no client') } } })
    t.match(await rejection(mediator.publish(OrderShipped, { orderId: 'a' })), { cause: { message: 'no client' } })
  })

  t.test('logs and goes on with onError log', async t => {
    const { mediator, logs } = createRecording(t, fail, { brokerPolicy: { onError: 'log' } })
    await mediator.publish(OrderShipped, { orderId: 'a' })
    t.match(logs, [{ level: 50, msg: 'event handler failed', err: { message: 'the broker is away' } }])
  })

  t.test('hands the envelope to an onError function, which may keep it', async t => {
    const kept: unknown[] = []
    const { mediator, published } = createRecording(t, fail, {
      brokerPolicy: {
        onError: (error, { envelope }) => {
          if (envelope!.topic === 'stock') throw error
          kept.push(envelope)
        }
      }
    })
    await mediator.publish(OrderShipped, { orderId: 'a' })
    t.strictSame(kept, published)
    t.match(await rejection(mediator.publish(StockMoved, { orderId: 'a' })), { cause: { message: 'the broker is away' } })
  })

  t.test('aborts the signal of an attempt that takes longer than timeoutMs', async t => {
    const reasons: unknown[] = []
    const { mediator } = createRecording(t, async (_envelope, { signal }) => {
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason)
          reject(signal.reason)
        })
      })
    }, { brokerPolicy: { timeoutMs: 10 } })
    const error = await rejection(mediator.publish(OrderShipped, { orderId: 'a' }))
    t.match(error.cause, { code: 'MEDIATOR_ERR_EVENT_HANDLER_TIMEOUT', message: /"order\.shipped"/ })
    t.equal(reasons[0], error.cause)
  })

  t.test('and a failing handler are both told', async t => {
    const { mediator } = createRecording(t, fail)
    mediator.addEventHandler(OrderShipped, () => { throw new Error('no printer') })
    const error = await rejection(mediator.publish(OrderShipped, { orderId: 'a' }))
    t.strictSame((error.cause as AggregateError).errors.map(({ message }: Error) => message).sort(), ['no printer', 'the broker is away'])
  })

  t.test('takes a permit like an event handler', async t => {
    const gates = [deferred(), deferred(), deferred()]
    let running = 0
    let peak = 0
    const { mediator, published } = createRecording(t, async () => {
      peak = Math.max(peak, ++running)
      await gates[published.length - 1]!.promise
      running--
    }, { maxConcurrentEventHandlers: 1 })
    mediator.addEventHandler(OrderShipped, () => {
      t.equal(running, 0, 'no handler runs beside the broker')
    })
    const all = gates.map(() => mediator.publish(OrderShipped, { orderId: 'a' }))
    t.equal(published.length, 0, 'its handler came first')
    await new Promise(setImmediate)
    t.equal(published.length, 1)
    for (const gate of gates) gate.resolve()
    await within(1_000, Promise.all(all))
    t.equal(published.length, 3)
    t.equal(peak, 1)
  })

  t.test('publishes one stream\'s events in order where its events are sequential', async t => {
    const { mediator, published } = createRecording(t, async ({ data }) => {
      if ((data as { orderId: string }).orderId === 'a') await new Promise(setImmediate)
      acknowledged.push((data as { orderId: string }).orderId)
    })
    const acknowledged: string[] = []
    mediator.addHandler(Ship, (_input, { emit }) => { for (const orderId of ['a', 'b', 'c']) emit(OrderShipped, { orderId }) }, { eventOrder: 'sequential' })
    await mediator.send(Ship, null)
    t.strictSame(acknowledged, ['a', 'b', 'c'])
    t.equal(published.length, 3)
  })

  t.test('counts for maxPendingEvents', async t => {
    const gate = deferred()
    const { mediator } = createRecording(t, () => gate.promise, { maxPendingEvents: 2 })
    let steps = 0
    mediator.addHandler(Ship, async function * (_input, { emit }) {
      for (let n = 0; n < 5; n++) {
        steps++
        emit(OrderShipped, { orderId: String(n) })
        yield n
      }
      return 'done'
    })
    const progress = collect(mediator.stream(Ship, null))
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    t.equal(steps, 2, 'the handler is not resumed')
    gate.resolve()
    t.strictSame(await within(1_000, progress), [0, 1, 2, 3, 4])
  })

  t.test('counts for maxEventDepth as any follow-up', async t => {
    const { mediator, published } = createRecording(t, undefined, { maxEventDepth: 1 })
    mediator.addEventHandler(Noted, (_event, { emit }) => { emit(OrderShipped, { orderId: 'a' }) })
    t.match(await rejection(mediator.publish(Noted, 1)), { cause: { code: 'MEDIATOR_ERR_EVENT_DEPTH' } })
    t.strictSame(published, [])
  })

  t.test('goes on when the stream is cancelled: an emitted event is a fact', async t => {
    const { mediator, published } = createRecording(t)
    mediator.addHandler(Ship, async function * (_input, { emit }) {
      try {
        emit(OrderShipped, { orderId: 'a' })
        yield 1
      } finally {
        emit(OrderShipped, { orderId: 'b' })
      }
    })
    const stream = mediator.stream(Ship, null)
    const steps = stream[Symbol.asyncIterator]()
    await steps.next()
    await steps.return!()
    t.match(await rejection(stream.result), { reason: 'cancelled' })
    t.strictSame(published.map(({ data }) => data), [{ orderId: 'a' }, { orderId: 'b' }])
  })

  t.test('is aborted when the mediator closes and its grace is over, and what waits is dropped, with counts', async t => {
    const reasons: unknown[] = []
    const { mediator, published, logs } = createRecording(t, async (_envelope, { signal }) => {
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason)
          reject(signal.reason)
        })
      })
    }, { maxConcurrentEventHandlers: 1, closeGraceMs: 10 })
    const all = ['a', 'b', 'c'].map(orderId => rejection(mediator.publish(OrderShipped, { orderId })))
    t.equal(published.length, 1)
    await within(5_000, mediator.close())
    for (const error of await Promise.all(all)) t.match(error, { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', cause: { code: 'MEDIATOR_ERR_SHUTTING_DOWN' } })
    t.match(reasons, [{ code: 'MEDIATOR_ERR_SHUTTING_DOWN' }])
    t.match(logs.filter(({ msg }) => /did not finish/.test(msg)), [{ level: 40, running: 0, dropped: 2 }])
  })

  t.test('counts a broker that ignores its signal as running', async t => {
    const gate = deferred()
    const { mediator, logs } = createRecording(t, () => gate.promise, { closeGraceMs: 0 })
    const published = rejection(mediator.publish(OrderShipped, { orderId: 'a' }))
    await within(5_000, mediator.close())
    t.match(await published, { cause: { code: 'MEDIATOR_ERR_SHUTTING_DOWN' } })
    t.match(logs.filter(({ msg }) => /did not finish/.test(msg)), [{ running: 1, dropped: 0 }])
    gate.resolve()
  })
})

t.test('options', async t => {
  for (const [what, options, message] of [
    ['a broker that cannot publish', { messageBroker: {} }, /messageBroker must have a method publish/],
    ['null as a broker', { messageBroker: null }, /messageBroker must have a method publish/],
    ['an unknown key in the policy', { brokerPolicy: { attempts: 1 } }, /messageBroker.*attempts is not allowed/],
    ['an unknown onError', { brokerPolicy: { onError: 'retry' } }, /messageBroker.*onError/],
    ['null as a policy', { brokerPolicy: null }, /brokerPolicy must be an object/],
    ['a text as a policy', { brokerPolicy: 'log' }, /brokerPolicy must be an object/],
    ['an empty source', { eventSource: '' }, /eventSource/],
    ['a source that is no URI reference', { eventSource: 'my app' }, /eventSource must match format "uri-reference"/],
    ['a source with a control character', { eventSource: '/a\nb' }, /eventSource/]
  ] as Array<[string, object, RegExp]>) {
    t.test(`refuse ${what}`, async t => {
      t.throws(() => createMediator(t, options as MediatorOptions), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message })
    })
  }
})
