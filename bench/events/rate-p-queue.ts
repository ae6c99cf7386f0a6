import PQueue from 'p-queue'
import { answer } from '../answer.js'
import { timed } from './cpu-time.js'
import { eventsPerYield } from './workload.js'

// The reference: what a careful person writes without any library, one task an event and a bound for what waits. A longer
// queue would be unfair to p-queue: without a bound it is five times as slow.
const maxWaiting = 100
const queue = new PQueue({ concurrency: Number(process.argv[2]) })
const handle = async (): Promise<void> => {}

async function * work (yields: number): AsyncGenerator<{ n: number }, void, void> {
  for (let n = 0; n < yields; n++) {
    for (let event = 0; event < eventsPerYield; event++) void queue.add(handle)
    yield { n }
  }
}

answer((yields: number) => timed(async () => {
  let n = 0
  for await (const progress of work(yields)) {
    n = progress.n
    if (queue.size >= maxWaiting) await queue.onSizeLessThan(maxWaiting)
  }
  await queue.onIdle()
  if (n !== yields - 1) throw new Error(`the last progress was ${n} of ${yields}`)
}))
