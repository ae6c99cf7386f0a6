import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import type { Measured, Task } from './client.js'

// Every server and the client are processes of their own. Each round measures each server once, in turn, so that a ratio
// compares figures of the same minute; the table shows the medians of the rounds.

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, out: { type: 'string', default: 'bench/results' } } })

const reference = 'node-http'
const servers = [reference, 'fastify-sse', 'fastify-sse-v2', 'mediator']
const scale = values.quick ? 10 : 1
const rounds = values.quick ? 3 : 5

interface Scenario extends Omit<Task, 'port'> {
  readonly name: string
}

const scenarios: readonly Scenario[] = [
  { name: `1 x ${200 / scale}k events`, connections: 1, count: 200_000 / scale, streams: 1 },
  { name: `50 x ${10 / scale}k events`, connections: 50, count: 10_000 / scale, streams: 1 },
  { name: 'first event', connections: 1, count: 1, streams: 2_000 / scale }
]

interface Figures {
  readonly eventsPerSecond: number
  readonly cpuSecondsPerMillion: number
  readonly firstEventMs: number
}

const results = new Map<string, Figures[]>()
const client = start('client.js')
const started = await Promise.all(servers.map(async name => {
  const child = start(`servers/${name}.js`)
  const [{ port }] = await once(child, 'message') as [{ port: number }]
  return { name, child, port }
}))

for (const scenario of scenarios) {
  for (let round = 0; round <= rounds; round++) {
    for (const { name, child, port } of started) {
      const figures = await measure(child, { ...scenario, port })
      // Round 0 warms up.
      if (round > 0) remember(`${scenario.name}\n${name}`, figures)
    }
    process.stderr.write(`\r${scenario.name}: round ${round} of ${rounds} `)
  }
  process.stderr.write('\n')
}
client.disconnect()
for (const { child } of started) child.disconnect()

const rows = scenarios.flatMap(({ name: scenario }) => servers.map(server => row(scenario, server)))
console.table(Object.fromEntries(rows.map(({ scenario, server, ...figures }) => [`${scenario}, ${server}`, figures])))
await mkdir(values.out, { recursive: true })
await writeFile(`${values.out}/latest.json`, JSON.stringify({
  measuredAt: new Date().toISOString(), node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, rounds, rows
}, null, 2) + '\n')

// A process that dies must end the bench, not leave it waiting for an answer.
function start (file: string): ChildProcess {
  return fork(new URL(file, import.meta.url)).once('exit', code => {
    if (code !== 0) throw new Error(`${file} ended with ${code}`)
  })
}

async function measure (server: ChildProcess, task: Task): Promise<Figures> {
  const before = await cpuOf(server)
  client.send(task)
  const [measured] = await once(client, 'message') as [Measured]
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
  server.send('cpu')
  const [{ cpu }] = await once(server, 'message') as [{ cpu: NodeJS.CpuUsage }]
  return cpu.user + cpu.system
}

function remember (key: string, figures: Figures): void {
  const all = results.get(key) ?? []
  all.push(figures)
  results.set(key, all)
}

function row (scenario: string, server: string) {
  const own = results.get(`${scenario}\n${server}`)!
  const others = results.get(`${scenario}\n${reference}`)!
  const ratio = (key: keyof Figures): number => round(median(own.map((figures, index) => figures[key] / others[index]![key])))
  return {
    scenario,
    server,
    'events/s': Math.round(median(own.map(({ eventsPerSecond }) => eventsPerSecond))),
    'events/s ratio': ratio('eventsPerSecond'),
    'CPU s per million': round(median(own.map(({ cpuSecondsPerMillion }) => cpuSecondsPerMillion))),
    'CPU ratio': ratio('cpuSecondsPerMillion'),
    'first event ms': round(median(own.map(({ firstEventMs }) => firstEventMs))),
    'first event ratio': ratio('firstEventMs')
  }
}

function median (numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

function round (number: number): number {
  return Number(number.toPrecision(3))
}
