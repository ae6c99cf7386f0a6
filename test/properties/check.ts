import { randomInt } from 'node:crypto'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { Schedule } from './schedule.js'
import { Subject } from './subject.js'
import { World } from './world.js'

// Set the first two to what a failure printed.
const { FC_SEED, FC_PATH, FC_RUNS } = process.env

const shared = new Map<string, Subject>()

async function run (schedule: Schedule): Promise<void> {
  const { mediator, close } = schedule
  const key = JSON.stringify(mediator)
  const subject = (close === undefined ? shared.get(key) : undefined) ?? new Subject(mediator, close?.graceMs ?? 60_000)
  if (close === undefined) shared.set(key, subject)
  const world = new World(subject, schedule)
  await world.run()
  if (world.broken.length === 0) return
  // What is left of it must not fail the next schedule.
  shared.delete(key)
  throw new Error([...new Set(world.broken)].join('\n'))
}

/** Runs random schedules of events, others each time. */
export async function check (t: Test, file: string, schedules: fc.Arbitrary<Schedule>, numRuns: number): Promise<void> {
  await checkBy(run, t, file, schedules, numRuns)
}

/** Runs random schedules of any kind, others each time, and says how to run those again that break a promise. */
export async function checkBy<S> (
  run: (schedule: S) => Promise<void>, t: Test, file: string, schedules: fc.Arbitrary<S>, numRuns: number
): Promise<void> {
  const seed = FC_SEED === undefined ? randomInt(2 ** 31) : Number(FC_SEED)
  t.comment(`seed ${seed}`)
  const startedAt = performance.now()
  const details = await fc.check(fc.asyncProperty(schedules, run), {
    seed,
    numRuns: FC_RUNS === undefined ? numRuns : Number(FC_RUNS),
    ...FC_PATH === undefined ? {} : { path: FC_PATH },
    // Before tap's own end, so that what was found is told.
    ...FC_RUNS === undefined ? { interruptAfterTimeLimit: 100_000, markInterruptAsFailure: true } : {}
  })
  t.comment(`${details.numRuns} schedules in ${Math.round(performance.now() - startedAt)} ms`)
  if (!details.failed) {
    t.pass('every promise held')
    return
  }
  const { errorInstance, counterexample, counterexamplePath } = details
  const schedule = fc.stringify(counterexample?.[0])
  // Commands that did not run are left out of what is shrunk: which these were is told beside the path.
  const replayPath = /replayPath="([^"]+)"/.exec(schedule)
  const path = (counterexamplePath === null ? '' : ` FC_PATH=${counterexamplePath}`) + (replayPath === null ? '' : ` FC_REPLAY_PATH=${replayPath[1]}`)
  t.comment(`run it again: FC_SEED=${seed}${path} npx tap --disable-coverage test/properties/${file}`)
  t.comment(`its schedule: ${schedule}`)
  t.fail(`${errorInstance instanceof Error ? errorInstance.message : 'the time was up'}; run it again with FC_SEED=${seed}${path}`)
}
