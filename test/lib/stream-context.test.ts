import t from 'tap'
import { StreamingMediator } from '../../index.js'
import type { HandlerContext } from '../../index.js'
import { Add } from '../support/app.js'

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
