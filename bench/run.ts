import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { blockRows } from './block-rows.js'
import { directRows } from './direct-rows.js'
import { eventMemoryRows } from './event-memory-rows.js'
import { eventOverlapRows } from './event-overlap-rows.js'
import { eventRateRows } from './event-rate-rows.js'
import { firstEventRows } from './first-event-rows.js'
import { idleRows } from './idle-rows.js'
import { keptRows } from './kept-rows.js'
import { pacedRows } from './paced-rows.js'
import type { Row } from './row.js'
import { serverRows } from './server-rows.js'
import { shortRows } from './short-rows.js'
import { stallRows } from './stall-rows.js'

// What is measured runs in processes of its own. Each round measures each subject once, in turn, so that a ratio compares
// figures of the same minute; the tables show the medians of the rounds.

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string', default: 'bench/results' }
  }
})
const effort = values.quick ? { scale: 10, rounds: 3 } : { scale: 1, rounds: 5 }

const parts = {
  servers: serverRows,
  'first-event': firstEventRows,
  short: shortRows,
  paced: pacedRows,
  block: blockRows,
  kept: keptRows,
  idle: idleRows,
  stall: stallRows,
  direct: directRows,
  'event-rate': eventRateRows,
  'event-overlap': eventOverlapRows,
  'event-memory': eventMemoryRows
}
if (values.only !== undefined && !Object.hasOwn(parts, values.only)) {
  throw new Error(`--only takes one of ${Object.keys(parts).join(', ')}, not "${values.only}"`)
}

const rows: Row[] = []
for (const [name, measure] of Object.entries(parts)) {
  if (values.only !== undefined && values.only !== name) continue
  const measured = await measure(effort)
  rows.push(...measured)
  // A table each, because their columns differ.
  console.table(Object.fromEntries(measured.map(({ scenario, subject, ...figures }) => [`${scenario}, ${subject}`, figures])))
}

await mkdir(values.out, { recursive: true })
await writeFile(`${values.out}/latest.json`, JSON.stringify({
  measuredAt: new Date().toISOString(), node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, rounds: effort.rounds, rows
}, null, 2) + '\n')
