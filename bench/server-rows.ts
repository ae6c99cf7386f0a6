import { comparedRows, ratios, withServers } from './compare.js'
import type { Subject } from './compare.js'
import type { Effort, Row } from './row.js'
import type { Figures } from './served.js'
import { targetRow } from './target-row.js'

const subjects: readonly Subject[] = [
  { name: 'node-http' },
  { name: 'node-http-coalesced' },
  { name: 'mediator' },
  { name: 'fastify-sse' },
  { name: 'fastify-sse-v2' },
  { name: 'better-sse' },
  { name: 'hono', share: 0.5 },
  { name: 'nest', share: 0.2 },
  { name: 'trpc', share: 0.1 }
]

/**
 * Measures the same streams over HTTP, served by this plugin, by its peers and by plain `node:http`. Each round starts its servers anew: how well
 * V8 compiles one and the same code differs between processes by a third.
 */
export async function serverRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const rows: Row[] = []
  for (const { connections, count } of [{ connections: 1, count: 200_000 / scale }, { connections: 50, count: 10_000 / scale }]) {
    const scenario = `${connections} x ${count / 1_000}k events`
    const figures = new Map<string, Figures[]>(subjects.map(({ name }) => [name, []]))
    for (let round = 1; round <= rounds; round++) {
      const measured = await withServers(subjects, async compare => await compare(`${scenario}, servers ${round} of ${rounds}`, { connections, count }, 1))
      for (const [name, own] of figures) own.push(...measured.get(name)!)
    }
    rows.push(...comparedRows(scenario, figures, 'node-http', { eventsPerSecond: 'events/s', cpuPerEvent: 'CPU µs an event' }))
    if (connections === 1) continue
    rows.push(
      targetRow(scenario, 'CPU, mediator to node-http-coalesced', ratios(figures, 'mediator', 'node-http-coalesced', 'cpuPerEvent'), { atMost: 1 }),
      targetRow(scenario, 'CPU, mediator to fastify-sse', ratios(figures, 'mediator', 'fastify-sse', 'cpuPerEvent'), { atMost: 0.35 }),
      targetRow(scenario, 'events/s, mediator to fastify-sse', ratios(figures, 'mediator', 'fastify-sse', 'eventsPerSecond'), { atLeast: 3 })
    )
  }
  return rows
}
