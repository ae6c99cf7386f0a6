import { setImmediate as turn } from 'node:timers/promises'
import { randomInt } from 'node:crypto'
import t from 'tap'
import { MemoryStreamLog } from '../../index.js'
import type { LogEntry, LogReader } from '../../index.js'
import { createStreamId } from '../../lib/frame-id.js'

const streams = 10_000
const entries = 100
const text = 'x'.repeat(150)

interface Outcome {
  readonly refused: number
  readonly gaps: number
  readonly reads: number
  readonly reconnects: number
  readonly wrong: number
  readonly peakBytes: number
}

/** Every stream has a reader of its own; every second one leaves now and then, is away for some turns, and comes back. */
async function run (maxTotalBytes: number): Promise<Outcome> {
  const log = new MemoryStreamLog({ maxTotalBytes })
  const outcome = { refused: 0, gaps: 0, reads: 0, reconnects: 0, wrong: 0, peakBytes: 0 }

  const read = async (id: string, leaves: boolean): Promise<void> => {
    let seq = 0
    for (let isOver = false; !isOver;) {
      let reader: LogReader
      try {
        reader = await log.read(id, { after: { seq, attempt: 1 } })
      } catch (error) {
        // Explicit, and the end of this reader: what it has not read is gone, or the whole stream is.
        if (!['MEDIATOR_ERR_LOG_GAP', 'MEDIATOR_ERR_STREAM_NOT_FOUND'].includes((error as { code: string }).code)) throw error
        outcome.gaps++
        return
      }
      let leave = false
      while (!reader.ended && !leave) {
        const batch: readonly LogEntry[] = reader.take()
        for (const entry of batch) if (entry.seq !== ++seq) outcome.wrong++
        outcome.reads += batch.length
        leave = leaves && randomInt(8) === 0
        if (batch.length === 0 && !leave) await new Promise<void>(resolve => { reader.onReady(resolve) })
      }
      isOver = reader.ended && !leave
      reader.close()
      if (isOver) continue
      outcome.reconnects++
      for (let away = randomInt(3); away >= 0; away--) await turn()
    }
    if (seq !== entries + 1) outcome.wrong++
  }

  const stream = async (n: number): Promise<void> => {
    const id = createStreamId()
    const opened = await log.open(id, { owner: `owner-${n % 500}`, command: 'load', fingerprint: id, lease: true }).catch((error: { code: string }) => error)
    if ('code' in opened) {
      if (opened.code !== 'MEDIATOR_ERR_LOG_FULL') throw opened
      outcome.refused++
      return
    }
    if (opened.outcome !== 'created') throw new Error(opened.outcome)
    const writer = opened.writer!
    const reading = read(id, n % 2 === 0)
    for (let each = 0; each < entries; each++) {
      const goOn = writer.append('progress', `{"each":${each},"text":"${text}"}`)
      if (goOn !== true) await goOn
      if (log.heldBytes > outcome.peakBytes) outcome.peakBytes = log.heldBytes
      if (each % 10 === 9) await turn()
    }
    await writer.end('completed', 'null')
    await reading
  }

  // Some begin when others have ended.
  for (let n = 0; n < streams; n += streams / 2) {
    await Promise.all(Array.from({ length: streams / 2 }, async (_, index) => await stream(n + index)))
  }
  await log.close()
  return outcome
}

t.test('10,000 streams whose readers come and go lose nothing while there is room', { timeout: 100_000 }, async t => {
  const outcome = await run(1_000_000_000)
  t.comment(JSON.stringify(outcome))
  t.strictSame([outcome.refused, outcome.gaps, outcome.wrong], [0, 0, 0])
  t.equal(outcome.reads, streams * (entries + 1))
  t.ok(outcome.reconnects > streams / 2, 'many have come back')
})

t.test('10,000 streams stay below the bound of the process, and what that costs is told', { timeout: 100_000 }, async t => {
  for (const maxTotalBytes of [67_108_864, 5_000_000]) {
    const outcome = await run(maxTotalBytes)
    t.comment(JSON.stringify(outcome))
    t.equal(outcome.wrong, 0, 'nobody was given a gap in silence')
    // The newest entry of each stream is kept, whatever the others take, and one before it while its reader has not read that.
    const least = streams / 2 * (1_700 + 2 * 350)
    const most = maxTotalBytes > least ? maxTotalBytes : maxTotalBytes + least
    t.ok(outcome.peakBytes <= most, `${outcome.peakBytes} bytes, of ${most}`)
    if (maxTotalBytes < least) t.ok(outcome.refused > 0 && outcome.gaps > 0)
  }
})
