import t from 'tap'
import { MemoryMessageBroker } from '../../lib/memory-message-broker.js'
import type { MemoryMessageBrokerOptions } from '../../lib/memory-message-broker.js'
import type { MessageEnvelope } from '../../lib/message-broker.js'
import { deferred, rejection, within } from './support.js'

const { signal } = new AbortController()

function envelopeOf (id: string, topic = 'orders'): MessageEnvelope {
  return { specversion: '1.0', id, source: '/test', type: 'order.shipped', time: '2026-01-01T00:00:00.000Z', datacontenttype: 'application/json', topic, data: null }
}

const idsOf = (envelopes: readonly MessageEnvelope[]): string[] => envelopes.map(({ id }) => id)

t.test('gives the subscribers of a topic its envelopes, in order, and nobody else', async t => {
  const broker = new MemoryMessageBroker()
  const got: string[] = []
  broker.subscribe('orders', ({ id }) => { got.push(`first ${id}`) })
  broker.subscribe('orders', async ({ id }) => { got.push(`second ${id}`) })
  broker.subscribe('stock', ({ id }) => { got.push(`stock ${id}`) })
  for (const id of ['a', 'b']) await broker.publish(envelopeOf(id), { signal })
  await broker.publish(envelopeOf('c', 'nobody'), { signal })
  t.strictSame(got, ['first a', 'second a', 'first b', 'second b'])
  t.strictSame(idsOf(broker.messages), ['a', 'b', 'c'], 'all topics are kept')
})

t.test('acknowledges when all subscribers have come to their end', async t => {
  const broker = new MemoryMessageBroker()
  const gate = deferred()
  let acknowledged = false
  broker.subscribe('orders', async () => { await gate.promise })
  broker.subscribe('orders', () => {})
  const published = broker.publish(envelopeOf('a'), { signal }).then(() => { acknowledged = true })
  await new Promise(setImmediate)
  t.equal(acknowledged, false)
  gate.resolve()
  await within(1_000, published)
})

t.test('hands the signal of its publisher to the subscribers', async t => {
  const broker = new MemoryMessageBroker()
  const controller = new AbortController()
  broker.subscribe('orders', async (_envelope, { signal }) => {
    await new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
  })
  const published = broker.publish(envelopeOf('a'), { signal: controller.signal })
  controller.abort(new Error('too late'))
  t.equal((await rejection(published)).message, 'too late')
})

for (const [what, fail] of [
  ['throws', () => { throw new Error('no room') }],
  ['rejects', async () => { throw new Error('no room') }]
] as const) {
  t.test(`rejects with what a subscriber ${what}, after the others have got the envelope`, async t => {
    const broker = new MemoryMessageBroker()
    const gate = deferred()
    let last = false
    broker.subscribe('orders', fail)
    broker.subscribe('orders', async () => {
      await gate.promise
      last = true
    })
    const published = rejection(broker.publish(envelopeOf('a'), { signal }))
    gate.resolve()
    t.equal((await published).message, 'no room')
    t.equal(last, true)
  })
}

t.test('rejects with all failures of several subscribers, whatever they threw', async t => {
  const broker = new MemoryMessageBroker()
  const thrown = [new Error('first'), null, 'third']
  for (const error of thrown) broker.subscribe('orders', () => { throw error })
  broker.subscribe('orders', () => {})
  const failure = await rejection(broker.publish(envelopeOf('a'), { signal })) as AggregateError
  t.ok(failure instanceof AggregateError)
  t.equal(failure.message, '3 subscribers of "orders" failed')
  t.strictSame(failure.errors, thrown)
})

t.test('rejects where the only failing subscriber threw undefined', async t => {
  const broker = new MemoryMessageBroker()
  broker.subscribe('orders', () => Promise.reject(undefined)) // eslint-disable-line prefer-promise-reject-errors
  t.equal(await broker.publish(envelopeOf('a'), { signal }).then(() => 'acknowledged', error => error), undefined)
})

t.test('calls no subscriber that has left', async t => {
  const broker = new MemoryMessageBroker()
  const got: string[] = []
  const leave = broker.subscribe('orders', ({ id }) => { got.push(`first ${id}`) })
  const leaveToo = broker.subscribe('orders', ({ id }) => { got.push(`second ${id}`) })
  await broker.publish(envelopeOf('a'), { signal })
  leave()
  leave()
  await broker.publish(envelopeOf('b'), { signal })
  leaveToo()
  await broker.publish(envelopeOf('c'), { signal })
  broker.subscribe('orders', ({ id }) => { got.push(`third ${id}`) })
  leaveToo()
  await broker.publish(envelopeOf('d'), { signal })
  t.strictSame(got, ['first a', 'second a', 'second b', 'third d'])
})

t.test('counts a function that subscribes twice as two subscribers', async t => {
  const broker = new MemoryMessageBroker()
  const got: string[] = []
  const subscriber = ({ id }: MessageEnvelope): void => { got.push(id) }
  const leave = broker.subscribe('orders', subscriber)
  broker.subscribe('orders', subscriber)
  await broker.publish(envelopeOf('a'), { signal })
  leave()
  await broker.publish(envelopeOf('b'), { signal })
  t.strictSame(got, ['a', 'a', 'b'])
})

t.test('gives a subscriber that comes during a publish only what is published later', async t => {
  const broker = new MemoryMessageBroker()
  const got: string[] = []
  broker.subscribe('orders', ({ id }) => {
    if (id === 'a') broker.subscribe('orders', ({ id }) => { got.push(id) })
  })
  await broker.publish(envelopeOf('a'), { signal })
  t.strictSame(got, [])
  await broker.publish(envelopeOf('b'), { signal })
  t.strictSame(got, ['b'])
})

t.test('lets a subscriber publish', async t => {
  const broker = new MemoryMessageBroker()
  const got: string[] = []
  broker.subscribe('orders', async ({ id }) => { await broker.publish(envelopeOf(`${id}-shipped`, 'shipments'), { signal }) })
  broker.subscribe('shipments', ({ id }) => { got.push(id) })
  await broker.publish(envelopeOf('a'), { signal })
  t.strictSame(got, ['a-shipped'])
})

t.test('keeps the last thousand envelopes', async t => {
  const broker = new MemoryMessageBroker()
  for (let n = 0; n < 2_500; n++) await broker.publish(envelopeOf(String(n)), { signal })
  t.equal(broker.messages.length, 1_000)
  t.equal(broker.messages[0]!.id, '1500')
  t.equal(broker.messages.at(-1)!.id, '2499')
})

for (const [maxMessages, kept] of [[0, []], [1, ['4']], [3, ['2', '3', '4']], [5, ['0', '1', '2', '3', '4']], [Infinity, ['0', '1', '2', '3', '4']]] as const) {
  t.test(`keeps ${kept.length} of five envelopes with maxMessages ${maxMessages}`, async t => {
    const broker = new MemoryMessageBroker({ maxMessages })
    for (let n = 0; n < 5; n++) {
      await broker.publish(envelopeOf(String(n)), { signal })
      t.ok(broker.messages.length <= maxMessages)
    }
    t.strictSame(idsOf(broker.messages), kept)
  })
}

t.test('keeps an envelope that its subscribers refused, and once more when it comes again', async t => {
  const broker = new MemoryMessageBroker()
  let attempts = 0
  broker.subscribe('orders', () => { if (attempts++ === 0) throw new Error('not now') })
  await rejection(broker.publish(envelopeOf('a'), { signal }))
  await broker.publish(envelopeOf('a'), { signal })
  t.strictSame(idsOf(broker.messages), ['a', 'a'])
})

t.test('shows a copy of its messages', async t => {
  const broker = new MemoryMessageBroker()
  await broker.publish(envelopeOf('a'), { signal })
  const seen = broker.messages as MessageEnvelope[]
  seen.length = 0
  t.strictSame(idsOf(broker.messages), ['a'])
})

for (const options of [{ maxMessages: -1 }, { maxMessages: 1.5 }, { maxMessages: '5' }, { max: 5 }] as MemoryMessageBrokerOptions[]) {
  t.test(`refuses ${JSON.stringify(options)}`, async t => {
    t.throws(() => new MemoryMessageBroker(options), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /MemoryMessageBroker/ })
  })
}
