import { randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { watchTimers } from '../disconnects/live-timers.js'
import { Refusal, readByParts, readOnce } from '../resume/resuming-clients.js'
import { Subject, within } from '../resume/subject.js'
import { deferred } from '../support/app.js'
import { randomFrom } from '../support/random.js'

// LOAD=10000 runs as many streams; SEED brings the readers of a failure again.
const { SEED: seed = String(Date.now() % 2 ** 31), LOAD: load = '700' } = process.env
const streams = Number(load)
const atOnce = 500
// 100 frames with the start and the end.
const to = 98
const text = 'x'.repeat(150)

t.setTimeout(streams === 700 ? 200_000 : 3_600_000)
const timers = watchTimers()

interface Outcome {
  frames: number
  reconnects: number
  /** By the code of the answer. */
  readonly refusals: Record<string, number>
  readonly wrong: string[]
  peakBytes: number
}

/** Each stream has a reader of its own on a socket of its own; every second one leaves now and then and comes back. */
async function run (t: Test, maxTotalBytes: number): Promise<Outcome> {
  t.comment(`SEED=${seed} LOAD=${load}`)
  const random = randomFrom(Number(seed))
  const outcome: Outcome = { frames: 0, reconnects: 0, refusals: {}, wrong: [], peakBytes: 0 }
  // So that as many streams as possible are at work at once.
  const allThere = deferred()
  let answered = 0
  const there = async (): Promise<void> => {
    if (++answered === atOnce) allThere.resolve()
    await allThere.promise
  }
  const subject = await Subject.create(t, {
    text,
    log: { maxTotalBytes },
    pace: n => {
      outcome.peakBytes = Math.max(outcome.peakBytes, subject.streamLog.heldBytes)
      if (n === 20) return there()
      return n % 10 === 9 ? turn() : undefined
    }
  })
  const read = async (leaves: boolean): Promise<void> => {
    const label = subject.newLabel()
    const path = `/count?to=${to}&label=${label}&idempotencyKey=${randomUUID()}`
    try {
      const arrived = await readByParts(async lastEventId => {
        if (lastEventId !== undefined && !lastEventId.endsWith('.end')) outcome.reconnects++
        return await readOnce(subject.port, path, lastEventId, leaves ? 1_000 + random() * 10_000 : Infinity)
      })
      outcome.frames += arrived.length
      const fault = subject.faultOf(arrived, label, { to })
      if (fault !== undefined) outcome.wrong.push(fault)
    } catch (error) {
      void there()
      const code = error instanceof Refusal ? error.code! : String(error)
      outcome.refusals[code] = (outcome.refusals[code] ?? 0) + 1
      // What was refused has not run; and what is gone or has a gap ran once.
      if (subject.runsOf(label) !== (code === 'MEDIATOR_ERR_LOG_FULL' ? 0 : 1)) outcome.wrong.push(`${code}: ran ${subject.runsOf(label)} times`)
    }
  }
  let next = 0
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < streams) await within(150_000, read(next++ % 2 === 0))
  }))
  const { wrong, ...figures } = outcome
  t.comment(`${Math.round(performance.now() - startedAt)} ms, ${JSON.stringify(figures)}`)
  t.strictSame(wrong.slice(0, 5), [])
  await subject.assertNothingLeft(t)
  t.equal(timers.size, 0, 'no timer is left')
  return outcome
}

t.test(`${load} kept streams whose readers come and go over sockets lose nothing while there is room`, async t => {
  const { frames, reconnects, refusals } = await run(t, 2_000_000_000)
  t.strictSame(refusals, {})
  t.equal(frames, streams * (to + 2))
  t.ok(reconnects > streams / 4, 'many have come back')
})

t.test(`${load} kept streams stay below the bound of their log, and who loses by that is told`, async t => {
  // Less than what as many streams take that have written nothing.
  const maxTotalBytes = 700_000
  const { refusals, peakBytes } = await run(t, maxTotalBytes)
  const explicit = ['MEDIATOR_ERR_LOG_FULL', 'MEDIATOR_ERR_LOG_GAP', 'MEDIATOR_ERR_STREAM_NOT_FOUND']
  t.strictSame(Object.keys(refusals).filter(code => !explicit.includes(code)), [])
  t.ok(refusals['MEDIATOR_ERR_LOG_FULL']! > 0)
  // The newest entry of each stream is kept, whatever the others take, and one before it while its reader has not read that.
  const most = maxTotalBytes + atOnce * 2 * 350 + 4_000
  t.ok(peakBytes <= most, `${peakBytes} bytes, of ${most}`)
})
