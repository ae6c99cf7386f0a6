import { setTimeout as sleep } from 'node:timers/promises'
import { StreamingMediator } from '../../index.js'
import type { MediatorOptions } from '../../index.js'
import { answer } from '../answer.js'
import { timed } from './cpu-time.js'
import type { Took } from './cpu-time.js'
import { Work, eventsPerYield, workEvents } from './workload.js'

/** Who handles the events of the work, and when. */
export type Variant = 'no events' | NonNullable<MediatorOptions['eventDelivery']>

const variant = process.argv[2] as Variant
const ms = 5
let handled = 0

const mediator = new StreamingMediator({ maxConcurrentEventHandlers: 10, ...variant !== 'no events' && { eventDelivery: variant } })
mediator.addHandler(Work, async function * ({ yields }, { emit }) {
  for (let n = 0; n < yields; n++) {
    await sleep(ms)
    if (variant !== 'no events') for (const event of workEvents) emit(event, { n })
    yield { n }
  }
})
for (const event of workEvents) {
  mediator.addEventHandler(event, async () => {
    await sleep(ms)
    handled++
  })
}

answer((yields: number): Promise<Took> => timed(async () => {
  handled = 0
  let held = 0
  for await (const { n } of mediator.stream(Work, { yields })) {
    held++
    if (n !== held - 1) throw new Error(`result ${held} was that of yield ${n}`)
    if (variant === 'before-progress' && handled !== held * eventsPerYield) {
      throw new Error(`${handled} events had been handled when result ${held} was held, not ${held * eventsPerYield}`)
    }
  }
  const expected = variant === 'no events' ? 0 : yields * eventsPerYield
  if (held !== yields || handled !== expected) throw new Error(`${held} results and ${handled} handled events, not ${yields} and ${expected}`)
}))
