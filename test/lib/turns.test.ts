import t from 'tap'
import { TurnClock, inLaterTurn, inTurns, maxTurnMs } from '../../lib/turns.js'

/** Whether a call comes at once; on a busy machine a turn may be over before that. */
function callsAtOnce (make: () => { next: () => void, calls: () => number }): boolean {
  return Array.from({ length: 50 }).some(() => {
    const { next, calls } = make()
    const before = calls()
    next()
    return calls() === before + 1
  })
}

/** Keeps the event loop for as long as a turn may take. */
function takeATurn (): void {
  const until = performance.now() + maxTurnMs
  while (performance.now() <= until) { /* Nobody else can run. */ }
}

/** In which order works run beside a callback of the event loop that came after them, with what they started in microtasks. */
async function orderOf (works: ReadonlyArray<() => void>): Promise<Array<number | string>> {
  const order: Array<number | string> = []
  const all = Promise.all(works.map(async (work, index) => await new Promise<void>(resolve => inLaterTurn(() => {
    queueMicrotask(() => {
      work()
      order.push(index)
      resolve()
    })
  }))))
  setImmediate(() => order.push('others'))
  await all
  await new Promise(setImmediate)
  return order
}

t.test('runs works in one turn where they take little of it, in the order they came', async t => {
  const expected = [0, 1, 2, 3, 'others']
  let order: Array<number | string> = []
  // On a busy machine a turn may be over before that.
  for (let attempt = 0; attempt < 50 && order.at(-1) !== 'others'; attempt++) order = await orderOf(Array.from({ length: 4 }, () => () => {}))
  t.strictSame(order, expected)
})

t.test('lets others have their turn between works that each take a whole one', async t => {
  t.strictSame(await orderOf(Array.from({ length: 4 }, () => takeATurn)), [0, 'others', 1, 2, 3])
})

t.test('lets those that wait go before one that has had its turn and waits again', async t => {
  const order: string[] = []
  const again = new Promise<void>(resolve => inLaterTurn(() => {
    order.push('a')
    takeATurn()
    inLaterTurn(() => {
      order.push('a again')
      resolve()
    })
  }))
  inLaterTurn(() => order.push('b'))
  inLaterTurn(() => order.push('c'))
  await again
  t.strictSame(order, ['a', 'b', 'c', 'a again'])
})

t.test('runs the others where a work throws', async t => {
  const thrown: unknown[] = []
  process.setUncaughtExceptionCaptureCallback(error => thrown.push(error))
  const failure = new Error('boom')
  inLaterTurn(() => { throw failure })
  await new Promise<void>(resolve => inLaterTurn(resolve))
  process.setUncaughtExceptionCaptureCallback(null)
  t.strictSame(thrown, [failure])
})

t.test('calls at once while its turn is young', async t => {
  t.ok(callsAtOnce(() => {
    let calls = 0
    return { next: inTurns(() => { calls++ }), calls: () => calls }
  }))
})

t.test('lets others have their turn where its own has taken too long, and begins a new one', async t => {
  const order: string[] = []
  const next = inTurns(() => order.push('called'))
  takeATurn()
  setImmediate(() => order.push('others'))
  next()
  t.strictSame(order, [])
  while (!order.includes('called')) await new Promise(setImmediate)
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

t.test('gives those that begin in one turn of the event loop one time for all of them', async t => {
  const [first, second] = [new TurnClock(), new TurnClock()]
  await new Promise(setImmediate)
  first.begin()
  takeATurn()
  second.begin()
  t.equal(first.isOver(), true)
  t.equal(second.isOver(), true, 'it was woken in the same turn, after the other')
  // On a busy machine a turn may be over before it is asked.
  let isOver = true
  for (let attempt = 0; attempt < 50 && isOver; attempt++) {
    await new Promise(setImmediate)
    second.begin()
    isOver = second.isOver()
  }
  t.equal(isOver, false, 'the next turn has its own')
})

t.test('reads the clock after each of the first steps, and then after as many at a time', async t => {
  const clock = new TurnClock()
  clock.begin()
  takeATurn()
  t.strictSame(Array.from({ length: 17 }, () => clock.isOver()), [...Array(8).fill(true), ...Array(7).fill(false), true, false])
})
