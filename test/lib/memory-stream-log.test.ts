import t from 'tap'
import { MemoryStreamLog } from '../../lib/memory-stream-log.js'
import { streamLogConformance } from '../../lib/testing/stream-log-conformance.js'
import { ManualClock } from '../support/manual-clock.js'

for (const { name, run } of streamLogConformance(({ maxEntries }) => {
  const clock = new ManualClock()
  return { log: new MemoryStreamLog({ maxEntries }, clock), expire: async () => clock.advance(60_000) }
})) t.test(name, run)
