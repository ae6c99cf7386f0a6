import { comparedRows, ratios, withServers } from './compare.js'
import type { Effort, Row } from './row.js'
import { targetRow } from './target-row.js'

const subjects = ['node-http', 'node-http-coalesced', 'mediator', 'fastify-sse'].map(name => ({ name }))
const connections = 200
const everyMs = 10

/** Measures streams whose events come one at a time, so that nothing can share a write. */
export async function pacedRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const count = scale === 1 ? 300 : 50
  const scenario = `${connections} x one event each ${everyMs} ms`
  return await withServers(subjects, async compare => {
    const results = await compare(scenario, { connections, count, everyMs, held: true }, rounds)
    return [
      ...comparedRows(scenario, results, 'node-http', { cpuPerEvent: 'CPU µs an event', eventsPerSecond: 'events/s' }),
      targetRow(scenario, 'CPU, mediator to node-http', ratios(results, 'mediator', 'node-http', 'cpuPerEvent'), { atMost: 1.15 })
    ]
  })
}
