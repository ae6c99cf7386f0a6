import { parseArgs } from 'node:util'
import { blockRows } from './block-rows.js'
import { clusterRows } from './cluster-rows.js'
import { directRows } from './direct-rows.js'
import { disconnectRows } from './disconnect-rows.js'
import { eventMemoryRows } from './event-memory-rows.js'
import { eventOverlapRows } from './event-overlap-rows.js'
import { eventRateRows } from './event-rate-rows.js'
import { fanOutRows } from './fan-out-rows.js'
import { firstEventRows } from './first-event-rows.js'
import { growthRows } from './growth-rows.js'
import { idleRows } from './idle-rows.js'
import { keptRows } from './kept-rows.js'
import { manyRows } from './many-rows.js'
import { pacedRows } from './paced-rows.js'
import { pageRows } from './page-rows.js'
import { partOf, writeReport } from './report.js'
import { tablesOf } from './row.js'
import type { Effort, Row } from './row.js'
import { serverRows } from './server-rows.js'
import { shortRows } from './short-rows.js'
import { stallRows } from './stall-rows.js'

// What is measured runs in processes of its own. Each round measures each subject once, in turn, so that a ratio compares
// figures of the same minute; the tables show the medians of the rounds.

const parts: Readonly<Record<string, (effort: Effort) => Promise<Row[]>>> = {
  servers: serverRows,
  'first-event': firstEventRows,
  short: shortRows,
  paced: pacedRows,
  block: blockRows,
  disconnect: disconnectRows,
  stall: stallRows,
  idle: idleRows,
  many: manyRows,
  kept: keptRows,
  'fan-out': fanOutRows,
  cluster: clusterRows,
  direct: directRows,
  'event-rate': eventRateRows,
  'event-overlap': eventOverlapRows,
  'event-memory': eventMemoryRows,
  growth: growthRows,
  page: pageRows
}

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: Object.keys(parts) },
    out: { type: 'string' }
  }
})
const effort: Effort = values.quick ? { scale: 10, rounds: 3 } : { scale: 1, rounds: 5 }
// What is committed is never overwritten by a quick run.
const out = values.out ?? (values.quick ? 'bench/results/quick' : 'bench/results')

for (const name of values.only) {
  const measure = parts[name]
  if (measure === undefined) throw new Error(`--only takes one of ${Object.keys(parts).join(', ')}, not "${name}"`)
  const rows = await measure(effort)
  // Part by part: what has been measured is there, whatever comes after it.
  await writeReport(out, { [name]: partOf(rows, effort) })
  console.log(name)
  for (const table of tablesOf(rows)) {
    console.table(Object.fromEntries(table.map(({ scenario, subject, ...figures }) => [`${scenario}, ${subject}`, figures])))
  }
}
