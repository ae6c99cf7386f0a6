import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineEvent } from '../../lib/event.js'
import type { EventContext } from '../../lib/event.js'
import { createEvents, deferred, within } from './support.js'

const Counted = defineEvent({ name: 'counted', payload: Type.Integer() })

t.test('starts handlers in the order of the emits and waits for a permit', async t => {
  const { dispatcher, addHandler, createGroup } = createEvents(2)
  const gates = [deferred(), deferred(), deferred()]
  const started: number[] = []
  addHandler(Counted, async ({ payload }) => {
    started.push(payload as number)
    await gates[payload as number]!.promise
  })
  const group = createGroup()
  for (const n of [0, 1, 2]) group.emit(Counted, n)
  group.flush()
  t.strictSame(started, [0, 1])
  gates[1]!.resolve()
  await within(1_000, group.below(3))
  await new Promise(setImmediate)
  t.strictSame(started, [0, 1, 2])
  gates[0]!.resolve()
  gates[2]!.resolve()
  await within(1_000, dispatcher.idle())
  t.equal(group.pending, 0)
})

t.test('gives handlers a log that names their event', async t => {
  const { addHandler, createGroup, logs } = createEvents(1)
  addHandler(Counted, (_event, { log }) => { log.info('in the handler') })
  const group = createGroup()
  group.emit(Counted, 1)
  group.flush()
  await within(1_000, group.below(1))
  t.match(logs, [{ msg: 'in the handler', event: 'counted' }])
})

t.test('aborts what runs, drops what waits, and lets go of what does not listen', async t => {
  const { dispatcher, addHandler, createGroup } = createEvents(2)
  const contexts: EventContext[] = []
  const [listening, deaf] = [deferred(), deferred()]
  addHandler(Counted, async ({ payload }, context) => {
    contexts.push(context)
    if (payload === 0) await new Promise(resolve => { context.signal.addEventListener('abort', resolve) })
    else await deaf.promise
    listening.resolve()
  })
  const group = createGroup()
  for (const n of [0, 1, 2, 3]) group.emit(Counted, n)
  group.flush()
  t.equal(contexts.length, 2)
  const reason = new Error('closing')
  dispatcher.abort(reason)
  await within(1_000, listening.promise)
  await new Promise(setImmediate)
  t.equal(contexts[0]!.signal.reason, reason)
  t.equal(contexts.length, 2, 'what waited did not start')
  t.equal(group.pending, 1)
  t.strictSame(dispatcher.release(), { running: 1, dropped: 2 })
  await within(1_000, group.below(1))
  t.strictSame((group.failure!.cause as AggregateError).errors, [reason, reason, reason])
  deaf.resolve()
  await within(1_000, dispatcher.idle())
  t.equal(group.pending, 0, 'a run that was let go is not counted again')
})

t.test('logs the failure of a run that was let go and counts it once', async t => {
  const { dispatcher, addHandler, createGroup, logs } = createEvents(1)
  const gate = deferred()
  addHandler(Counted, async () => { await gate.promise })
  const group = createGroup()
  group.emit(Counted, 0)
  group.flush()
  dispatcher.abort(new Error('closing'))
  t.strictSame(dispatcher.release(), { running: 1, dropped: 0 })
  gate.reject(new Error('too late'))
  await within(1_000, dispatcher.idle())
  t.equal(group.pending, 0)
  t.match(group.failure!.cause, { message: 'closing' })
  t.match(logs, [{ err: { message: 'too late' } }])
})

t.test('has nothing to release where nothing runs', async t => {
  const { dispatcher } = createEvents(1)
  dispatcher.abort(new Error('closing'))
  t.strictSame(dispatcher.release(), { running: 0, dropped: 0 })
})
