import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { ask, start } from './child.js'
import type { Measured, Task } from './client.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { median, round } from './statistics.js'

const reference = 'node-http'
const servers = [reference, 'fastify-sse', 'fastify-sse-v2', 'mediator']

interface Scenario extends Omit<Task, 'port'> {
  readonly name: string
}

interface Figures {
  readonly eventsPerSecond: number
  readonly cpuSecondsPerMillion: number
  readonly firstEventMs: number
}

/** Measures the same streams over HTTP, served by this plugin, by its peers and by plain `node:http`. */
export async function serverRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const scenarios: readonly Scenario[] = [
    { name: `1 x ${200 / scale}k events`, connections: 1, count: 200_000 / scale, streams: 1 },
    { name: `50 x ${10 / scale}k events`, connections: 50, count: 10_000 / scale, streams: 1 },
    { name: 'first event', connections: 1, count: 1, streams: 2_000 / scale }
  ]
  const client = start('client.js')
  const started = await Promise.all(servers.map(async name => {
    const child = start(`servers/${name}.js`)
    const [{ port }] = await once(child, 'message') as [{ port: number }]
    return { name, child, port }
  }))

  const rows: Row[] = []
  for (const scenario of scenarios) {
    const results = new Map<string, Figures[]>(servers.map(name => [name, []]))
    for (let current = 0; current <= rounds; current++) {
      for (const { name, child, port } of started) {
        const figures = await measure(client, child, { ...scenario, port })
        // Round 0 warms up.
        if (current > 0) results.get(name)!.push(figures)
      }
      showProgress(`${scenario.name}: round`, current, rounds)
    }
    rows.push(...servers.map(name => row(scenario.name, name, results.get(name)!, results.get(reference)!)))
  }
  client.disconnect()
  for (const { child } of started) child.disconnect()
  return rows
}

async function measure (client: ChildProcess, server: ChildProcess, task: Task): Promise<Figures> {
  const before = await cpuOf(server)
  const measured = await ask<Measured>(client, task)
  const after = await cpuOf(server)
  const expected = task.count * task.connections * task.streams
  if (measured.received < expected) throw new Error(`only ${measured.received} of ${expected} events arrived`)
  return {
    eventsPerSecond: expected / measured.wallMs * 1_000,
    cpuSecondsPerMillion: (after - before) / expected,
    firstEventMs: median(measured.firstEventMs)
  }
}

// Microseconds of user and system time.
async function cpuOf (server: ChildProcess): Promise<number> {
  const { cpu } = await ask<{ cpu: NodeJS.CpuUsage }>(server, 'cpu')
  return cpu.user + cpu.system
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
