import { comparedRows, withServers } from './compare.js'
import type { Effort, Row } from './row.js'

// Ephemeral ports, not files, end what one address can open to another: some 28,000.
const connections = 18_000
const eventsEach = 5

/**
 * Opens so many streams in one process that all are open at once, then lets each have an event a second: `measure` fails where a
 * connection is refused or an event does not arrive.
 */
export async function manyRows ({ scale }: Effort): Promise<Row[]> {
  const count = connections / scale
  const scenario = `${count} connections at once, ${eventsEach} events each`
  return await withServers(['node-http', 'mediator'].map(name => ({ name })), async compare => {
    const results = await compare(scenario, { connections: count, count: eventsEach, everyMs: 1_000 / scale, held: true }, 1)
    return [
      ...comparedRows(scenario, results, 'node-http', { cpuPerStream: 'CPU µs to open a stream', cpuPerEvent: 'CPU µs an event' }),
      { scenario, subject: 'delivered by the mediator', events: count * eventsEach, of: count * eventsEach, refused: 0, target: 'all, none refused', reached: true }
    ]
  })
}
