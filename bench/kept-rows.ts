import { start } from './child.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { measure, startServer } from './served.js'
import { median, round } from './statistics.js'
import { targetRow } from './target-row.js'

const streams = 10
const readers = 5

/** Measures what it costs to keep streams, beside the same streams that are not kept: with one reader each, and for each further reader. */
export async function keptRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const count = 20_000 / scale
  const client = start('client.js')
  const [plain, kept] = await Promise.all([startServer('mediator'), startServer('mediator-kept')])
  const plainCosts: number[] = []
  const oneReader: number[] = []
  const furtherReader: number[] = []
  for (let current = 0; current <= rounds; current++) {
    const task = { connections: streams, count, held: true }
    const unlogged = (await measure(client, plain, task)).cpuPerEvent
    const one = (await measure(client, kept, { ...task, readers: 1 })).cpuPerEvent
    // For each event that arrives; all of them arrive at each reader.
    const many = (await measure(client, kept, { ...task, connections: streams * readers, readers })).cpuPerEvent
    // Round 0 warms up.
    if (current > 0) {
      plainCosts.push(unlogged)
      oneReader.push(one / unlogged)
      furtherReader.push((many * readers - one) / (readers - 1) / unlogged)
    }
    showProgress('kept streams: round', current, rounds)
  }
  client.disconnect()
  for (const { child } of [plain, kept]) child.disconnect()
  const scenario = `${streams} x ${count / 1_000}k events`
  return [
    { scenario, subject: 'not kept', 'CPU µs an event': round(median(plainCosts)) },
    targetRow(scenario, 'kept, one reader', oneReader, { atMost: 1.3 }),
    targetRow(scenario, 'kept, each further reader', furtherReader, { atMost: 0.5 })
  ]
}
