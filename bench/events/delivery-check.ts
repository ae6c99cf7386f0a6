import { setTimeout as sleep } from 'node:timers/promises'
import { StreamingMediator } from '../../index.js'
import { answer } from '../answer.js'
import { Work, eventsPerYield, work, workEvents } from './workload.js'

const handlerMs = 5
const heldMs = 2 * handlerMs

// Not timed: each result is held for longer than a handler takes, so that one which starts too early is seen.
answer(async (yields: number): Promise<number> => {
  let handled = 0
  const mediator = new StreamingMediator({ maxConcurrentEventHandlers: 10, eventDelivery: 'before-progress' })
  mediator.addHandler(Work, work)
  for (const event of workEvents) {
    mediator.addEventHandler(event, async () => {
      await sleep(handlerMs)
      handled++
    })
  }
  let held = 0
  for await (const { n } of mediator.stream(Work, { yields })) {
    held++
    const expected = (n + 1) * eventsPerYield
    const first = handled
    await sleep(heldMs)
    if (n !== held - 1 || first !== expected || handled !== expected) {
      throw new Error(`${first} to ${handled} events had been handled while result ${n + 1} was held, not ${expected}`)
    }
  }
  if (held !== yields) throw new Error(`${held} results, not ${yields}`)
  return held
})
