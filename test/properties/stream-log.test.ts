import fc from 'fast-check'
import t from 'tap'
import { commands } from './log-commands.js'
import { checkBy } from './check.js'
import { LogModel, LogSubject } from './log-model.js'
import type { LogBounds } from './log-model.js'

// Small, so that streams trim, wait and push each other out all the time; each of the bounds alone, and all together.
const bounds: readonly LogBounds[] = [
  { maxEntries: 5, maxBytes: 1_000_000, maxTotalBytes: 1_000_000 },
  { maxEntries: 1, maxBytes: 1_000_000, maxTotalBytes: 1_000_000 },
  { maxEntries: 1_000, maxBytes: 4_000, maxTotalBytes: 1_000_000 },
  { maxEntries: 1_000, maxBytes: 1_000_000, maxTotalBytes: 12_000 },
  { maxEntries: 100, maxBytes: 6_000, maxTotalBytes: 14_000 }
]

interface LogSchedule {
  readonly bounds: LogBounds
  readonly commands: ReturnType<typeof commands> extends fc.Arbitrary<infer C> ? C : never
}

const schedule: fc.Arbitrary<LogSchedule> = fc.record({ bounds: fc.constantFrom(...bounds), commands: commands(600) })

t.test('a memory log does what a plain array would, whoever writes, reads, cancels and leaves', { timeout: 200_000 }, async t => {
  let steps = 0
  const seen = new Map<string, number>()
  await checkBy(async ({ bounds, commands }: LogSchedule) => {
    const subject = new LogSubject(bounds)
    const model = new LogModel(bounds, seen)
    try {
      await fc.asyncModelRun(() => ({ model, real: subject }), commands)
      await subject.assertDrained(model)
    } finally {
      steps += subject.steps
    }
  }, t, 'stream-log.test.ts', schedule, 620)
  t.comment(`${steps} steps`, Object.fromEntries(seen))
  if (process.env.FC_RUNS !== undefined || process.env.FC_PATH !== undefined) return
  t.ok(steps >= 100_000, `${steps} steps`)
  t.equal(seen.size, 14, 'all that can happen has happened')
  t.ok([...seen.values()].every(times => times >= 20), 'and often enough')
})
