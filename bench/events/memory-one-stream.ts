import { StreamingMediator } from '../../index.js'
import { answer } from '../answer.js'
import { heapUsed } from './heap.js'
import { Work, eventsPerYield, work, workEvents } from './workload.js'

let handled = 0
const mediator = new StreamingMediator()
mediator.addHandler(Work, work)
for (const event of workEvents) mediator.addEventHandler(event, async () => { handled++ })

// One stream that goes on from question to question.
const stream = mediator.stream(Work, { yields: Infinity })[Symbol.asyncIterator]()
let expected = 0

answer(async (events: number) => {
  for (let n = 0; n < events / eventsPerYield; n++) await stream.next()
  const used = await heapUsed()
  expected += events
  if (handled !== expected) throw new Error(`${handled} events were handled, not ${expected}`)
  return used
})
