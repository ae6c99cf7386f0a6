import { start } from './child.js'
import type { Task } from './client.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { measure, startServer } from './served.js'
import type { Figures } from './served.js'
import { median, round } from './statistics.js'

const reference = 'node-http'
const servers = [reference, 'fastify-sse', 'fastify-sse-v2', 'mediator']

interface Scenario extends Omit<Task, 'port'> {
  readonly name: string
}

/** Measures the same streams over HTTP, served by this plugin, by its peers and by plain `node:http`. */
export async function serverRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const scenarios: readonly Scenario[] = [
    { name: `1 x ${200 / scale}k events`, connections: 1, count: 200_000 / scale, streams: 1 },
    { name: `50 x ${10 / scale}k events`, connections: 50, count: 10_000 / scale, streams: 1 },
    { name: 'first event', connections: 1, count: 1, streams: 2_000 / scale }
  ]
  const client = start('client.js')
  const started = await Promise.all(servers.map(startServer))

  const rows: Row[] = []
  for (const scenario of scenarios) {
    const results = new Map<string, Figures[]>(servers.map(name => [name, []]))
    for (let current = 0; current <= rounds; current++) {
      for (const server of started) {
        const figures = await measure(client, server, scenario)
        // Round 0 warms up.
        if (current > 0) results.get(server.name)!.push(figures)
      }
      showProgress(`${scenario.name}: round`, current, rounds)
    }
    rows.push(...servers.map(name => row(scenario.name, name, results.get(name)!, results.get(reference)!)))
  }
  client.disconnect()
  for (const { child } of started) child.disconnect()
  return rows
}

function row (scenario: string, subject: string, own: readonly Figures[], others: readonly Figures[]): Row {
  const ratio = (key: keyof Figures): number => round(median(own.map((figures, index) => figures[key] / others[index]![key])))
  return {
    scenario,
    subject,
    'events/s': Math.round(median(own.map(({ eventsPerSecond }) => eventsPerSecond))),
    'events/s ratio': ratio('eventsPerSecond'),
    'CPU s per million': round(median(own.map(({ cpuSecondsPerMillion }) => cpuSecondsPerMillion))),
    'CPU ratio': ratio('cpuSecondsPerMillion'),
    'first event ms': round(median(own.map(({ firstEventMs }) => firstEventMs))),
    'first event ratio': ratio('firstEventMs')
  }
}
