import { comparedRows, ratios, withServers } from './compare.js'
import type { Effort, Row } from './row.js'
import { targetRow } from './target-row.js'

const subjects = ['node-http', 'node-http-coalesced', 'mediator', 'fastify-sse', 'fastify-sse-v2', 'better-sse', 'hono', 'nest', 'trpc'].map(name => ({ name }))

/** Measures how long the first event takes, from the request on an open connection: streams of one event, one after the other. */
export async function firstEventRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const scenario = 'first event'
  return await withServers(subjects, async compare => {
    const results = await compare(scenario, { connections: 1, count: 1, streams: 2_000 / scale }, rounds)
    return [
      ...comparedRows(scenario, results, 'node-http', { firstEventMs: 'ms' }),
      targetRow(scenario, 'mediator to node-http', ratios(results, 'mediator', 'node-http', 'firstEventMs'), { atMost: 1.4 }),
      targetRow(scenario, 'mediator to fastify-sse', ratios(results, 'mediator', 'fastify-sse', 'firstEventMs'), { atMost: 1.1 })
    ]
  })
}
