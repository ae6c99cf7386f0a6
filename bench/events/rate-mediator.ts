import { StreamingMediator } from '../../index.js'
import { answer } from '../answer.js'
import { timed } from './cpu-time.js'
import { Work, work, workEvents } from './workload.js'

const mediator = new StreamingMediator({ maxConcurrentEventHandlers: Number(process.argv[2]) })
mediator.addHandler(Work, work)
for (const event of workEvents) mediator.addEventHandler(event, async () => {})

answer((yields: number) => timed(async () => {
  let n = 0
  for await (const progress of mediator.stream(Work, { yields })) n = progress.n
  if (n !== yields - 1) throw new Error(`the last progress was ${n} of ${yields}`)
}))
