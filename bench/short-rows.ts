import { comparedRows, ratios, withServers } from './compare.js'
import type { Effort, Row } from './row.js'
import { targetRow } from './target-row.js'

const subjects = ['node-http', 'node-http-coalesced', 'mediator', 'fastify-sse'].map(name => ({ name }))

/** Measures what a whole stream of ten events costs: its connection, its request and its end with it. */
export async function shortRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const scenario = 'short streams (10 events)'
  return await withServers(subjects, async compare => {
    const results = await compare(scenario, { connections: 10, count: 10, streams: 500 / scale }, rounds)
    return [
      ...comparedRows(scenario, results, 'node-http', { cpuPerStream: 'CPU µs a stream' }),
      targetRow(scenario, 'CPU, mediator to fastify-sse', ratios(results, 'mediator', 'fastify-sse', 'cpuPerStream'), { atMost: 1.1 })
    ]
  })
}
