import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import t from 'tap'
import { defineEvent } from '../../lib/event.js'
import type { EventContext } from '../../lib/event.js'
import { EventDispatcher, EventScope, maxEventsPerStep } from '../../lib/event-dispatcher.js'
import { createLog } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import { deferred, within } from './support.js'

const Counted = defineEvent({ name: 'counted', payload: Type.Integer() })
const Ignored = defineEvent({ name: 'ignored', payload: Type.Integer() })

function createScope (dispatcher: EventDispatcher, onFailure?: (error: unknown) => void): { scope: EventScope, logs: LogLine[] } {
  const { logs, logger: { level, stream } } = createLog()
  return { scope: new EventScope('owner', dispatcher, () => pino({ level }, stream), onFailure), logs }
}

t.test('hands an event to its handlers after the step that emitted it', async t => {
  const dispatcher = new EventDispatcher(10)
  const seen: unknown[] = []
  dispatcher.addHandler(Counted, event => { seen.push(['first', event]) })
  dispatcher.addHandler(Counted, event => { seen.push(['second', event]) })
  const { scope } = createScope(dispatcher)
  scope.emit(Counted, 1)
  t.strictSame(seen, [])
  t.equal(scope.pending, 0)
  scope.flush()
  t.equal(scope.pending, 2)
  await within(1_000, scope.below(1))
  t.strictSame(seen, [['first', { name: 'counted', payload: 1 }], ['second', { name: 'counted', payload: 1 }]])
  scope.flush()
  t.equal(scope.pending, 0, 'an event is dispatched once')
})

t.test('costs nothing for an event without handlers', async t => {
  const { scope } = createScope(new EventDispatcher(1))
  scope.emit(Ignored, 1)
  scope.flush()
  t.equal(scope.pending, 0)
  t.equal(scope.failure, undefined)
})

t.test('starts handlers in the order of the emits and waits for a permit', async t => {
  const dispatcher = new EventDispatcher(2)
  const gates = [deferred(), deferred(), deferred()]
  const started: number[] = []
  dispatcher.addHandler(Counted, async ({ payload }) => {
    started.push(payload as number)
    await gates[payload as number]!.promise
  })
  const { scope } = createScope(dispatcher)
  for (const n of [0, 1, 2]) scope.emit(Counted, n)
  scope.flush()
  t.strictSame(started, [0, 1])
  gates[1]!.resolve()
  await within(1_000, scope.below(3))
  await new Promise(setImmediate)
  t.strictSame(started, [0, 1, 2])
  gates[0]!.resolve()
  gates[2]!.resolve()
  await within(1_000, dispatcher.idle())
  t.equal(scope.pending, 0)
})

t.test('wakes each waiter at its own limit', async t => {
  const dispatcher = new EventDispatcher(1)
  const gates = [deferred(), deferred()]
  dispatcher.addHandler(Counted, async ({ payload }) => { await gates[payload as number]!.promise })
  const { scope } = createScope(dispatcher)
  scope.emit(Counted, 0)
  scope.emit(Counted, 1)
  scope.flush()
  const woken: string[] = []
  const all = Promise.all([
    scope.below(1).then(() => { woken.push('below 1') }),
    scope.below(2).then(() => { woken.push('below 2') }),
    scope.below(3).then(() => { woken.push('below 3') })
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
  const dispatcher = new EventDispatcher(1)
  let handled = 0
  dispatcher.addHandler(Counted, () => { handled++ })
  const { scope } = createScope(dispatcher)
  t.throws(() => scope.emit({ name: 'counted' } as unknown as typeof Counted, 1), { code: 'MEDIATOR_ERR_INVALID_DEFINITION' })
  for (let n = 0; n < maxEventsPerStep; n++) scope.emit(Counted, n)
  t.throws(() => scope.emit(Counted, 0), { code: 'MEDIATOR_ERR_TOO_MANY_EVENTS', message: /10000/ })
  scope.flush()
  t.doesNotThrow(() => scope.emit(Counted, 0), 'the next step may emit again')
  scope.seal()
  t.throws(() => scope.emit(Counted, 0), { code: 'MEDIATOR_ERR_EMIT_AFTER_END', message: /"counted"/ })
  await within(5_000, scope.below(1))
  t.equal(handled, maxEventsPerStep + 1)
})

t.test('keeps what failed, logs it and tells its owner, while the others go on', async t => {
  const dispatcher = new EventDispatcher(1)
  const [first, second] = [new Error('first'), new Error('second')]
  let handled = 0
  dispatcher.addHandler(Counted, () => { throw first })
  dispatcher.addHandler(Counted, async () => { handled++ })
  dispatcher.addHandler(Counted, async () => { throw second })
  const told: unknown[] = []
  const { scope, logs } = createScope(dispatcher, error => told.push(error))
  scope.emit(Counted, 1)
  scope.flush()
  await within(1_000, scope.below(1))
  t.equal(handled, 1)
  t.strictSame(told, [first, second])
  t.match(scope.failure, { code: 'MEDIATOR_ERR_EVENT_HANDLER_FAILED', message: 'An event handler of "owner" failed' })
  t.type(scope.failure!.cause, AggregateError)
  t.strictSame((scope.failure!.cause as AggregateError).errors, [first, second])
  t.match(logs, [
    { level: 50, msg: 'event handler failed', event: 'counted', err: { message: 'first' } },
    { level: 50, msg: 'event handler failed', event: 'counted', err: { message: 'second' } }
  ])
})

t.test('has the one thing that failed as the cause of its failure', async t => {
  const dispatcher = new EventDispatcher(1)
  dispatcher.addHandler(Counted, () => Promise.reject('no error')) // eslint-disable-line prefer-promise-reject-errors
  const { scope } = createScope(dispatcher)
  scope.emit(Counted, 1)
  scope.flush()
  await within(1_000, scope.below(1))
  t.equal(scope.failure!.cause, 'no error')
})

t.test('gives handlers a log that names their event', async t => {
  const dispatcher = new EventDispatcher(1)
  dispatcher.addHandler(Counted, (_event, { log }) => { log.info('in the handler') })
  const { scope, logs } = createScope(dispatcher)
  scope.emit(Counted, 1)
  scope.flush()
  await within(1_000, scope.below(1))
  t.match(logs, [{ msg: 'in the handler', event: 'counted' }])
})

t.test('aborts what runs, drops what waits, and lets go of what does not listen', async t => {
  const dispatcher = new EventDispatcher(2)
  const contexts: EventContext[] = []
  const [listening, deaf] = [deferred(), deferred()]
  dispatcher.addHandler(Counted, async ({ payload }, context) => {
    contexts.push(context)
    if (payload === 0) await new Promise(resolve => { context.signal.addEventListener('abort', resolve) })
    else await deaf.promise
    listening.resolve()
  })
  const { scope } = createScope(dispatcher)
  for (const n of [0, 1, 2, 3]) scope.emit(Counted, n)
  scope.flush()
  t.equal(contexts.length, 2)
  const reason = new Error('closing')
  dispatcher.abort(reason)
  await within(1_000, listening.promise)
  await new Promise(setImmediate)
  t.equal(contexts[0]!.signal.reason, reason)
  t.equal(contexts.length, 2, 'what waited did not start')
  t.equal(scope.pending, 1)
  t.strictSame(dispatcher.release(), { running: 1, dropped: 2 })
  await within(1_000, scope.below(1))
  t.strictSame((scope.failure!.cause as AggregateError).errors, [reason, reason, reason])
  deaf.resolve()
  await within(1_000, dispatcher.idle())
  t.equal(scope.pending, 0, 'a run that was let go is not counted again')
})

t.test('logs the failure of a run that was let go and counts it once', async t => {
  const dispatcher = new EventDispatcher(1)
  const gate = deferred()
  dispatcher.addHandler(Counted, async () => { await gate.promise })
  const { scope, logs } = createScope(dispatcher)
  scope.emit(Counted, 0)
  scope.flush()
  dispatcher.abort(new Error('closing'))
  t.strictSame(dispatcher.release(), { running: 1, dropped: 0 })
  gate.reject(new Error('too late'))
  await within(1_000, dispatcher.idle())
  t.equal(scope.pending, 0)
  t.match(scope.failure!.cause, { message: 'closing' })
  t.match(logs, [{ err: { message: 'too late' } }])
})

t.test('has nothing to release where nothing runs', async t => {
  const dispatcher = new EventDispatcher(1)
  dispatcher.abort(new Error('closing'))
  t.strictSame(dispatcher.release(), { running: 0, dropped: 0 })
})
