import { StreamingMediator } from '../../index.js'
import { answer } from '../answer.js'
import { heapUsed } from './heap.js'
import { Work, eventsPerYield, work, workEvents } from './workload.js'

const yields = 3
let handled = 0
const mediator = new StreamingMediator()
mediator.addHandler(Work, work)
for (const event of workEvents) mediator.addEventHandler(event, async () => { handled++ })
let expected = 0

answer(async (streams: number) => {
  for (let n = 0; n < streams; n++) {
    for await (const progress of mediator.stream(Work, { yields })) void progress
  }
  expected += streams * yields * eventsPerYield
  if (handled !== expected) throw new Error(`${handled} events were handled, not ${expected}`)
  return await heapUsed()
})
