import { setTimeout as sleep } from 'node:timers/promises'
import { ask, start } from './child.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { round } from './statistics.js'

// Two heartbeats of each stream, at their interval of 15 s.
const watchedMs = 30_000
// As long before that: V8 collects once more some seconds after the connects, and compiles the first heartbeats.
const restMs = 30_000

/** Measures what streams cost while nothing happens in them, beside plain `node:http`, which sends no heartbeats, and how long it takes to end them. */
export async function idleRows ({ scale }: Effort): Promise<Row[]> {
  const count = 10_000 / scale
  const rows: Row[] = []
  let plainKib: number | undefined
  for (const subject of ['node-http', 'mediator']) {
    const server = start('connections/idle-server.js', { args: [subject], execArgv: ['--expose-gc'] })
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
    const showSeconds = (ms: number): void => showProgress(`${count} idle streams, ${subject}: seconds`, ms / 1_000, (restMs + watchedMs) / 1_000)
    showSeconds(0)
    await sleep(restMs)
    showSeconds(restMs)

    const heartbeatsBefore = await ask<number>(client, { ask: 'heartbeats' })
    const cpuBefore = await ask<number>(server, 'cpu')
    await sleep(watchedMs)
    const cpuMicroseconds = await ask<number>(server, 'cpu') - cpuBefore
    const heartbeats = await ask<number>(client, { ask: 'heartbeats' }) - heartbeatsBefore
    showSeconds(restMs + watchedMs)

    const ends = ask<number>(client, { ask: 'ends' })
    const closeMs = await ask<number>(server, 'close')
    const told = await ends
    server.disconnect()
    client.disconnect()

    const kib = (after - before) / 1_024 / (count - warmUp)
    plainKib ??= kib
    const cpuPercent = cpuMicroseconds / watchedMs / 10
    const mediator = subject === 'mediator'
    rows.push({
      scenario: `${count / 1_000}k idle streams`,
      subject,
      'KiB each': round(kib),
      'KiB ratio': round(kib / plainKib),
      'CPU % of a core': round(cpuPercent),
      heartbeats,
      'close ms after grace': Math.round(closeMs),
      'told failed': told,
      ...(mediator && { reached: kib <= 20 && cpuPercent <= 2 && closeMs <= 3_000 && told === count })
    })
  }
  return rows
}
