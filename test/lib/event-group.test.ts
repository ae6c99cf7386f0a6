import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineEvent } from '../../lib/event.js'
import { maxEventsPerStep } from '../../lib/event-group.js'
import { createEvents, deferred, within } from './support.js'

const Counted = defineEvent({ name: 'counted', payload: Type.Integer() })
const Ignored = defineEvent({ name: 'ignored', payload: Type.Integer() })

t.test('hands an event to its handlers after the step that emitted it', async t => {
  const { addHandler, createGroup } = createEvents(10)
  const seen: unknown[] = []
  addHandler(Counted, event => { seen.push(['first', event]) })
  addHandler(Counted, event => { seen.push(['second', event]) })
  const group = createGroup()
  group.emit(Counted, 1)
  t.strictSame(seen, [])
  t.equal(group.pending, 0)
  group.flush()
  t.equal(group.pending, 2)
  await within(1_000, group.below(1))
  t.strictSame(seen, [['first', { name: 'counted', payload: 1 }], ['second', { name: 'counted', payload: 1 }]])
  group.flush()
  t.equal(group.pending, 0, 'an event is dispatched once')
})

t.test('costs nothing for an event without handlers', async t => {
  const group = createEvents(1).createGroup()
  group.emit(Ignored, 1)
  group.flush()
  t.equal(group.pending, 0)
  t.equal(group.failure, undefined)
})

t.test('wakes each waiter at its own limit', async t => {
  const { addHandler, createGroup } = createEvents(1)
  const gates = [deferred(), deferred()]
  addHandler(Counted, async ({ payload }) => { await gates[payload as number]!.promise })
  const group = createGroup()
  group.emit(Counted, 0)
  group.emit(Counted, 1)
  group.flush()
  const woken: string[] = []
  const all = Promise.all([
    group.below(1).then(() => { woken.push('below 1') }),
    group.below(2).then(() => { woken.push('below 2') }),
    group.below(3).then(() => { woken.push('below 3') })
  ])
  await new Promise(setImmediate)
  t.strictSame(woken, ['below 3'])
  gates[0]!.resolve()
  await new Promise(setImmediate)
  t.strictSame(woken, ['below 3', 'below 2'])
  gates[1]!.resolve()
  await within(1_000, all)
  t.strictSame(woken, ['below 3', 'below 2', 'below 1'])
})

t.test('refuses what is no event, more events than a step may have, and events after the end', async t => {
  const { addHandler, createGroup } = createEvents(1)
  let handled = 0
  addHandler(Counted, () => { handled++ })
  const group = createGroup()
  t.throws(() => group.emit({ name: 'counted' } as unknown as typeof Counted, 1), { code: 'MEDIATOR_ERR_INVALID_DEFINITION' })
  for (let n = 0; n < maxEventsPerStep; n++) group.emit(Counted, n)
  t.throws(() => group.emit(Counted, 0), { code: 'MEDIATOR_ERR_TOO_MANY_EVENTS', message: /10000/ })
  group.flush()
  t.doesNotThrow(() => group.emit(Counted, 0), 'the next step may emit again')
  group.seal()
  t.throws(() => group.emit(Counted, 0), { code: 'MEDIATOR_ERR_EMIT_AFTER_END', message: /"counted"/ })
  await within(5_000, group.below(1))
  t.equal(handled, maxEventsPerStep + 1)
})

t.test('keeps what failed, logs it and tells its owner, while the others go on', async t => {
  const { addHandler, createGroup, logs } = createEvents(1)
  const [first, second] = [new Error('first'), new Error('second')]
  let handled = 0
  addHandler(Counted, () => { throw first })
  addHandler(Counted, async () => { handled++ })
  addHandler(Counted, async () => { throw second })
  const told: unknown[] = []
  const group = createGroup({ onFailure: error => told.push(error) })
  group.emit(Counted, 1)
  group.flush()
  await within(1_000, group.below(1))
  t.equal(handled, 1)
  t.strictSame(told, [first, second])
  t.match(group.failure, { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', message: 'An event handler of "owner" failed' })
  t.type(group.failure!.cause, AggregateError)
  t.strictSame((group.failure!.cause as AggregateError).errors, [first, second])
  t.match(logs, [
    { level: 50, msg: 'event handler failed', event: 'counted', err: { message: 'first' } },
    { level: 50, msg: 'event handler failed', event: 'counted', err: { message: 'second' } }
  ])
})

t.test('has the one thing that failed as the cause of its failure', async t => {
  const { addHandler, createGroup } = createEvents(1)
  addHandler(Counted, () => Promise.reject('no error')) // eslint-disable-line prefer-promise-reject-errors
  const group = createGroup()
  group.emit(Counted, 1)
  group.flush()
  await within(1_000, group.below(1))
  t.equal(group.failure!.cause, 'no error')
})

t.test('gives every failure as one error, however many there are', async t => {
  const { addHandler, createGroup } = createEvents(10)
  addHandler(Counted, () => { throw new Error('always') })
  const group = createGroup()
  for (let n = 0; n < 3; n++) group.emit(Counted, n)
  group.seal()
  await within(1_000, group.below(1))
  t.match(group.failure!.cause, { message: '3 event handlers failed' })
})

t.test('refuses events deeper than maxEventDepth', async t => {
  const { createGroup } = createEvents(1, { maxEventDepth: 3 })
  t.doesNotThrow(() => createGroup({ depth: 2 }).emit(Counted, 1))
  t.throws(() => createGroup({ depth: 3 }).emit(Counted, 1), { code: 'MEDIATOR_ERR_EVENT_DEPTH', message: /"counted".*3/ })
})

t.test('in sequence holds one permit and starts each when the one before has settled, also after a pause', async t => {
  const { dispatcher, addHandler, createGroup } = createEvents(10)
  const gates = [deferred(), deferred(), deferred()]
  const started: number[] = []
  addHandler(Counted, async ({ payload }) => {
    started.push(payload)
    await gates[payload]!.promise
  })
  const group = createGroup({ sequential: true })
  group.emit(Counted, 0)
  group.emit(Counted, 1)
  group.flush()
  t.equal(group.pending, 2)
  t.strictSame(started, [0])
  t.equal(dispatcher.lane.pending, 1)
  gates[0]!.resolve()
  await within(1_000, group.below(2))
  t.strictSame(started, [0, 1])
  gates[1]!.resolve()
  await within(1_000, group.below(1))
  group.emit(Counted, 2)
  group.flush()
  t.strictSame(started, [0, 1, 2])
  gates[2]!.resolve()
  await within(1_000, group.below(1))
})
