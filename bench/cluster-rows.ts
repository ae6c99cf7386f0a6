import { comparedRows, withServers } from './compare.js'
import type { Effort, Row } from './row.js'

const subjects = ['mediator', 'mediator-cluster'].map(name => ({ name }))

/**
 * Measures `node:cluster` on all cores beside one process. The client takes its share of the same cores, so on a machine with two of them there is
 * little left to gain: what the processes use for an event says what a machine of their own could do.
 */
export async function clusterRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const tasks = [
    { scenario: `all cores, 50 x ${10 / scale}k events`, connections: 50, count: 10_000 / scale, streams: 1 },
    { scenario: 'all cores, short streams (10 events)', connections: 50, count: 10, streams: 200 / scale }
  ]
  return await withServers(subjects, async compare => {
    const rows: Row[] = []
    for (const { scenario, ...task } of tasks) {
      const results = await compare(scenario, task, rounds)
      rows.push(...comparedRows(scenario, results, 'mediator', { eventsPerSecond: 'events/s', cpuPerEvent: 'CPU µs an event' }))
    }
    return rows
  })
}
