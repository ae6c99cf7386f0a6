import { start } from './child.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { measure, startServer } from './served.js'
import { median, round } from './statistics.js'
import { targetRow } from './target-row.js'

/** Measures what an event costs that reaches many readers of one stream, beside as many streams with one reader each. */
export async function fanOutRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const readers = scale === 1 ? 1_000 : 250
  const client = start('client.js')
  const separate = await startServer('mediator')
  const shared = await startServer('mediator-kept')
  const rows: Row[] = []
  // As fast as they are read, and one at a time, when nothing can share a write.
  for (const { name, work, target } of [
    { name: `${1_000 / scale} events`, work: { count: 1_000 / scale }, target: { atMost: 0.5 } },
    // The writes are most of it, and each reader needs its own.
    { name: `${100 / scale} events, one each 50 ms`, work: { count: 100 / scale, everyMs: 50 } }
  ]) {
    const costs: Array<{ one: number, many: number }> = []
    const task = { connections: readers, held: true, ...work }
    for (let current = 0; current <= rounds; current++) {
      const many = (await measure(client, separate, task)).cpuPerEvent
      const one = (await measure(client, shared, { ...task, readers })).cpuPerEvent
      // Round 0 warms up.
      if (current > 0) costs.push({ one, many })
      showProgress(`${readers} readers, ${name}: round`, current, rounds)
    }
    const scenario = `${readers} readers, ${name}`
    rows.push(
      { scenario, subject: 'separate streams', 'CPU µs a delivered event': round(median(costs.map(({ many }) => many))) },
      { scenario, subject: 'one stream', 'CPU µs a delivered event': round(median(costs.map(({ one }) => one))) },
      targetRow(scenario, 'CPU, one stream to separate streams', costs.map(({ one, many }) => one / many), target)
    )
  }
  client.disconnect()
  for (const { child } of [separate, shared]) child.disconnect()
  return rows
}
