import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { childEnvironment } from '../support/child-environment.js'
import type { StormReport } from './storm.js'

const cwd = fileURLToPath(new URL('../..', import.meta.url))
const { SEED: seed = String(Date.now() % 2 ** 31), DISCONNECTS: disconnects = '10000' } = process.env

// It takes about 20 s; where others are at work as well, as long as it takes.
t.setTimeout(400_000)

t.test(`${disconnects} clients leave at random, and leave nothing behind`, async t => {
  t.comment(`SEED=${seed} DISCONNECTS=${disconnects}`)
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--import', 'tsx', 'test/disconnects/storm.ts'], {
    cwd, env: { ...childEnvironment, SEED: seed, DISCONNECTS: disconnects }
  })
  const report = JSON.parse(stdout) as StormReport
  const { heap, reasons } = report
  t.comment(`${report.disconnects} disconnects in ${(report.ms / 1_000).toFixed(1)} s, of ${report.started} streams: ${JSON.stringify(reasons)}`)
  t.comment(`heap after each tenth, in MB: ${heap.map(bytes => (bytes / 2 ** 20).toFixed(2)).join(', ')}`)
  t.equal(report.disconnects, Number(disconnects))
  t.strictSame(report.stats, Array(2).fill({ streams: 0, owners: 0, detachedHandlers: 0, runningEventHandlers: 0, waitingEventHandlers: 0 }))
  t.equal(report.miscounted, 0, 'each stream is told of once')
  const { stalled = 0, ...others } = reasons
  t.strictSame(Object.keys(others).sort(), ['client-closed', 'completed', 'failed'])
  // Over HTTP/2, and of those that do not read.
  t.ok(stalled <= (report.stages['sent blocked'] ?? 0) + (report.stages['answered blocked'] ?? 0), `${stalled} were stalled`)
  t.equal(Object.values(reasons).reduce((a, b) => a + b), report.started)
  t.equal(report.timers, 0)
  t.equal(report.connections, 0)
  t.ok(report.responses < 20, `${report.responses} responses can still be reached`)
  t.strictSame(report.listeners, {})
  t.strictSame(report.warnings, [])
  // From the third tenth on, so that code is compiled and pools are full. A leak of the smallest stream would be 1 KiB for each.
  const growth = Math.min(...heap.slice(7)) - Math.min(...heap.slice(2, 5))
  t.ok(growth < 100 * report.disconnects / 2 + 300_000, `the heap has grown by ${(growth / 1024).toFixed(0)} KiB`)
  t.ok(Object.keys(report.stages).length >= 14, 'most of what can happen has happened')
})
