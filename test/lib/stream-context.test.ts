import { Type } from '@sinclair/typebox'
import t from 'tap'
import { StreamingMediator, defineEvent } from '../../index.js'
import type { HandlerContext } from '../../index.js'
import { Add } from '../support/app.js'

const Late = defineEvent({ name: 'late', payload: Type.Integer() })

t.test('can be taken apart, passed on, and derived from', async t => {
  const mediator = new StreamingMediator()
  t.teardown(() => mediator.close())
  const contexts: HandlerContext[] = []
  mediator.addHandler(Add, async ({ a, b }, context) => {
    const log = context.log.child({ part: 'sum' })
    const derived: HandlerContext = Object.create(context, { log: { value: log } })
    const { signal, emit, streamId, scope, caller, resumeAfter } = derived
    t.equal(signal, context.signal)
    t.equal(emit, context.emit)
    t.equal(streamId, context.streamId)
    t.equal(scope, context.scope)
    t.equal(caller, 'ada')
    t.equal(resumeAfter, 7)
    t.equal(derived.log, log)
    t.equal(typeof derived.mediator.send, 'function')
    contexts.push(context)
    return a + b
  })
  t.equal(await mediator.send(Add, { a: 1, b: 2 }, { caller: 'ada' as never, resumeAfter: 7 }), 3)
  t.notOk('signal' in { ...contexts[0] }, 'the reference says that a copy has not all members')
})

t.test('refuses an event from a handler that first asks for emit when it has ended', async t => {
  const mediator = new StreamingMediator()
  t.teardown(() => mediator.close())
  const contexts: HandlerContext[] = []
  mediator.addHandler(Add, (_input, context) => {
    contexts.push(context)
    return 1
  })
  await mediator.send(Add, { a: 1, b: 2 })
  t.throws(() => contexts[0]!.emit(Late, 1), { code: 'MEDIATOR_ERR_EMIT_AFTER_END' })
})
