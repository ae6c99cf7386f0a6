import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, start } from './child.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { median, round } from './statistics.js'

const connections = 20
const settleMs = 200

/** Measures what clients cost that never read an endless stream, and how long the streams of others take beside them. */
export async function stallRows ({ scale, rounds: asked }: Effort): Promise<Row[]> {
  const count = 500
  // A round takes as long as it takes to cut them, whatever their number.
  const [rounds, readMs] = scale === 1 ? [asked, 5_000] : [1, 2_000]
  const server = start('connections/stall-server.js')
  const [staller, reader] = [start('connections/stall-client.js'), start('connections/stall-client.js')]
  const port = await ask<number>(server, 'port')
  const read = async (): Promise<number> => await ask<number>(reader, { ask: 'read', port, connections, ms: readMs })
  await read()
  const kib: number[] = []
  const p99: Array<{ alone: number, beside: number }> = []
  let stalled = 0
  for (let current = 0; current < rounds; current++) {
    showProgress(`${count} clients that never read: round`, current, rounds)
    const alone = await read()
    const before = await ask<number>(server, 'rss')
    await ask(staller, { ask: 'stall', port, count })
    await settled(server)
    const beside = await read()
    kib.push((await ask<number>(server, 'rss') - before) / 1_024 / count)
    p99.push({ alone, beside })
    stalled = await ask<number>(server, 'stalled')
  }
  showProgress(`${count} clients that never read: round`, rounds, rounds)
  for (const child of [server, staller, reader]) child.disconnect()

  const ratio = median(p99.map(({ alone, beside }) => beside / alone))
  return [{
    scenario: `${count} clients that never read`,
    subject: 'mediator',
    'KiB each': round(Math.max(...kib)),
    'p99 ms alone': round(median(p99.map(({ alone }) => alone))),
    'p99 ms beside': round(median(p99.map(({ beside }) => beside))),
    'p99 ratio': round(ratio),
    cut: stalled,
    reached: Math.max(...kib) <= 256 && ratio <= 1.5 && stalled === count * rounds
  }]
}

/** Waits until the buffers of all that do not read are full: what follows is their price while they wait to be cut. */
async function settled (server: ChildProcess): Promise<void> {
  let before = 0
  for (let used = Infinity; used > settleMs * 1_000 / 10;) {
    await sleep(settleMs)
    const cpu = await ask<number>(server, 'cpu')
    used = cpu - before
    before = cpu
  }
}
