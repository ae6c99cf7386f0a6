import { setImmediate } from 'node:timers/promises'
import { StreamingMediator } from '../../index.js'
import { answer } from '../answer.js'
import { Work, eventsPerYield, work, workEvents } from './workload.js'

/** What handlers that take a turn of the event loop saw of the limit. */
export interface Checked {
  readonly handled: number
  readonly peak: number
}

const limit = Number(process.argv[2])
const streams = 5

// Not timed: the handlers of the timed runs do nothing, not even count.
answer(async (yields: number): Promise<Checked> => {
  let handled = 0
  let running = 0
  let peak = 0
  const mediator = new StreamingMediator({ maxConcurrentEventHandlers: limit })
  mediator.addHandler(Work, work)
  for (const event of workEvents) {
    mediator.addEventHandler(event, async () => {
      peak = Math.max(peak, ++running)
      await setImmediate()
      running--
      handled++
    })
  }
  await Promise.all(Array.from({ length: streams }, () => mediator.send(Work, { yields: yields / streams })))
  // What is handled twice may come late.
  await mediator.close()
  const expected = yields * eventsPerYield
  if (handled !== expected) throw new Error(`${handled} events were handled, not ${expected}`)
  // A peak below the limit would have checked nothing.
  if (peak !== limit) throw new Error(`${peak} event handlers ran at once, the limit is ${limit}`)
  return { handled, peak }
})
