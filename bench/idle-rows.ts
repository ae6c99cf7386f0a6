import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, start } from './child.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { median, round } from './statistics.js'
import { targetRow } from './target-row.js'

/** What idle streams have cost one server. */
interface Idle {
  readonly cpuPercent: number
  readonly heartbeats: number
  readonly closeMs: number
  readonly told: number
}

/**
 * Measures what streams cost while nothing happens in them, beside plain `node:http` with the same generators, which sends no
 * heartbeats, and how long it takes to end them.
 */
export async function idleRows ({ scale, rounds: asked }: Effort): Promise<Row[]> {
  const [count, rounds, heartbeatMs] = scale === 1 ? [10_000, asked, 15_000] : [4_000, 1, 3_000]
  const measured = ['node-http', 'mediator'].map(subject => ({ subject, kib: [] as number[], idle: undefined as Idle | undefined }))
  for (let current = 1; current <= rounds; current++) {
    for (const each of measured) {
      const streams = await openStreams(each.subject, count, heartbeatMs)
      each.kib.push(streams.kib)
      if (current === rounds) each.idle = await watchStreams(streams, heartbeatMs)
      for (const child of [streams.server, streams.client]) child.disconnect()
    }
    showProgress(`${count} idle streams: round`, current, rounds)
  }
  const scenario = `${count / 1_000}k idle streams`
  const [plain, mediator] = measured
  return [
    ...measured.map(({ subject, kib, idle }) => ({
      scenario,
      subject,
      'KiB each': round(median(kib)),
      'CPU % of a core': round(idle!.cpuPercent),
      heartbeats: idle!.heartbeats,
      'close ms after grace': Math.round(idle!.closeMs),
      'told failed': idle!.told,
      ...subject === 'mediator' && {
        reached: median(kib) <= 20 && idle!.cpuPercent <= 2 && idle!.closeMs <= 3_000 && idle!.told === count
      }
    })),
    targetRow(scenario, 'RSS, mediator to node-http', mediator!.kib.map((kib, index) => kib / plain!.kib[index]!), { atMost: 1.4 })
  ]
}

interface OpenStreams {
  readonly server: ChildProcess
  readonly client: ChildProcess
  readonly kib: number
}

async function openStreams (subject: string, count: number, heartbeatMs: number): Promise<OpenStreams> {
  const server = start('connections/idle-server.js', { args: [subject, String(heartbeatMs)], execArgv: ['--expose-gc'] })
  const client = start('connections/idle-client.js')
  const port = await ask<number>(server, 'port')
  // The first streams pay for what all of them share: compiled code, and the heap's first growth.
  const warmUp = Math.min(500, count / 2)
  await ask(client, { ask: 'connect', port, count: warmUp })
  const before = await ask<number>(server, 'rss')
  await ask(client, { ask: 'connect', port, count: count - warmUp })
  const after = await ask<number>(server, 'rss')
  const open = await ask<number>(server, 'open')
  if (open !== count) throw new Error(`${open} of ${count} streams are open`)
  return { server, client, kib: (after - before) / 1_024 / (count - warmUp) }
}

async function watchStreams ({ server, client }: OpenStreams, heartbeatMs: number): Promise<Idle> {
  // Two heartbeats of each stream. As long before that: V8 collects once more some seconds after the connects, and compiles the first heartbeats.
  const watchedMs = 2 * heartbeatMs
  await sleep(watchedMs)
  const heartbeatsBefore = await ask<number>(client, { ask: 'heartbeats' })
  const cpuBefore = await ask<number>(server, 'cpu')
  await sleep(watchedMs)
  const cpuMicroseconds = await ask<number>(server, 'cpu') - cpuBefore
  const heartbeats = await ask<number>(client, { ask: 'heartbeats' }) - heartbeatsBefore
  const ends = ask<number>(client, { ask: 'ends' })
  const closeMs = await ask<number>(server, 'close')
  return { cpuPercent: cpuMicroseconds / watchedMs / 10, heartbeats, closeMs, told: await ends }
}
