import t from 'tap'
import { inTurns, maxTurnMs } from '../../lib/turns.js'

/** Whether a call comes at once; on a busy machine a turn may be over before that. */
function callsAtOnce (make: () => { next: () => void, calls: () => number }): boolean {
  return Array.from({ length: 50 }).some(() => {
    const { next, calls } = make()
    const before = calls()
    next()
    return calls() === before + 1
  })
}

t.test('calls at once while its turn is young', async t => {
  t.ok(callsAtOnce(() => {
    let calls = 0
    return { next: inTurns(() => { calls++ }), calls: () => calls }
  }))
})

t.test('lets others have their turn where its own has taken too long, and begins a new one', async t => {
  const order: string[] = []
  const next = inTurns(() => order.push('called'))
  const until = performance.now() + maxTurnMs
  while (performance.now() <= until) { /* Nobody else can run. */ }
  setImmediate(() => order.push('others'))
  next()
  t.strictSame(order, [])
  await new Promise(setImmediate)
  t.strictSame(order, ['others', 'called'])
  // What is left behind by those that came too late does not matter.
  for (let each = 0; each < 50; each++) {
    const { length } = order
    next()
    if (order.length > length) return
    await new Promise(setImmediate)
  }
  t.fail('no call came at once')
})
