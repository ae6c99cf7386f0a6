import assert from 'node:assert/strict'
import { createStreamId } from '../frame-id.js'
import type { LogEntry, LogInfo, LogReader, LogWriter, OpenLogOptions, ReadLogOptions, StreamLog, TakeLogResult } from '../stream-log.js'

/** A log that is to be tested, made anew for each case. */
export interface StreamLogUnderTest {
  readonly log: StreamLog
  /** Resolves when what had ended before the call is kept no more. */
  expire (): Promise<unknown>
  /** Frees what the log stands on. It is called after `log.close()`. */
  dispose? (): Promise<unknown>
}

/** What the log of a case has to be made with. */
export interface StreamLogBounds {
  /** How many entries of a stream it keeps. */
  readonly maxEntries: number
}

/** One rule of `StreamLog` and its test. */
export interface StreamLogCase {
  readonly name: string
  /** Rejects with an AssertionError where the log breaks the rule. */
  run (): Promise<void>
}

interface Subject extends StreamLogUnderTest {
  readonly id: string
}

const ada = { owner: 'ada', command: 'count', fingerprint: 'one', lease: true } as const

/**
 * The rules that every `StreamLog` keeps, as cases for any test runner:
 * `for (const { name, run } of streamLogConformance(make)) test(name, run)`.
 */
export function streamLogConformance (make: (bounds: StreamLogBounds) => StreamLogUnderTest | Promise<StreamLogUnderTest>): StreamLogCase[] {
  return Object.entries(cases).map(([name, test]) => ({
    name,
    run: async () => {
      const made = await make({ maxEntries: 10 })
      try {
        await test({ log: made.log, expire: async () => await made.expire(), id: createStreamId() })
      } finally {
        await made.log.close()
        await made.dispose?.()
      }
    }
  }))
}

const cases: Record<string, (subject: Subject) => Promise<void>> = {
  'a new stream is created once, and then it exists': async ({ log, id }) => {
    const first = await log.open(id, { ...ada, meta: 'a note' })
    assert.equal(first.outcome, 'created')
    assert.ok(first.outcome === 'created' && first.writer !== undefined)
    assert.equal(first.writer.attempt, 1)
    assertInfo(first.info, { streamId: id, owner: 'ada', command: 'count', meta: 'a note', state: 'running', attempt: 1, firstSeq: 0, progressCount: 0 })
    assert.ok(Math.abs(first.info.startedAt! - Date.now()) < 60_000)
    const second = await log.open(id, { ...ada, meta: 'another note' })
    assert.ok(second.outcome === 'exists')
    assert.deepEqual(second.info, first.info)
  },

  'of many who open one stream at once, one creates it': async ({ log, id }) => {
    const results = await Promise.all(Array.from({ length: 100 }, async () => await log.open(id, ada)))
    assert.equal(results.filter(({ outcome }) => outcome === 'created').length, 1)
    assert.equal(results.filter(({ outcome }) => outcome === 'exists').length, 99)
  },

  'who asks for something else under the same id is told so, and somebody else even less': async ({ log, id }) => {
    await openWriter(log, id)
    assert.deepEqual(await log.open(id, { ...ada, fingerprint: 'two' }), { outcome: 'mismatch' })
    assert.deepEqual(await log.open(id, { ...ada, owner: 'bob' }), { outcome: 'forbidden' })
    assert.deepEqual(await log.open(id, { ...ada, owner: 'bob', fingerprint: 'two' }), { outcome: 'forbidden' })
  },

  'entries are read as they were written, with numbers that have no gap': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    await writer.append('start', '{"attempt":1}')
    await writer.append('tick', '"é 漢 🙂 \\n"')
    await writer.append('progress', '{}')
    assert.equal(await writer.end('completed', '[1]'), true)
    assert.deepEqual(await readToEnd(await log.read(id)), [
      { seq: 1, attempt: 1, event: 'start', data: '{"attempt":1}', bytes: 13 },
      { seq: 2, attempt: 1, event: 'tick', data: '"é 漢 🙂 \\n"', bytes: 16 },
      { seq: 3, attempt: 1, event: 'progress', data: '{}', bytes: 2 },
      { seq: 4, attempt: 1, event: 'complete', data: '[1]', bytes: 3 }
    ])
  },

  'what is appended without waiting arrives in order': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    const reader = await log.read(id)
    const reading = readToEnd(reader)
    for (let n = 1; n <= 9; n++) void writer.append('progress', String(n))
    assert.equal(await writer.end('completed', 'null'), true)
    assert.deepEqual((await reading).map(({ data }) => data), ['1', '2', '3', '4', '5', '6', '7', '8', '9', 'null'])
  },

  'a reader goes on with the next entry after any that it has seen, then live': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    await appendAll(log, id, writer, ['1', '2', '3', '4'])
    const readers = await Promise.all([0, 1, 2, 3, 4].map(async seq => await log.read(id, seq === 0 ? {} : after(seq))))
    const readings = readers.map(async reader => await readToEnd(reader))
    await writer.append('progress', '5')
    await writer.end('completed', 'null')
    for (const [seq, entries] of (await Promise.all(readings)).entries()) {
      assert.deepEqual(entries.map(entry => entry.seq), [1, 2, 3, 4, 5, 6].slice(seq))
    }
  },

  'a reader at the end has ended, and is called back once': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    await writer.append('start', '{}')
    await writer.end('completed', 'null')
    const reader = await log.read(id, after(2))
    assert.deepEqual(await readToEnd(reader), [])
    assert.equal(reader.ended, true)
    let calls = 0
    await new Promise<void>(resolve => reader.onReady(() => { if (++calls === 1) resolve() }))
    await new Promise(setImmediate)
    assert.equal(calls, 1)
  },

  'a reader that waits is called back when there is an entry, and not before `onReady` has returned': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    const reader = await log.read(id)
    assert.deepEqual(reader.take(), [])
    assert.equal(reader.ended, false)
    const called = calledBack(reader)
    await writer.append('progress', '1')
    await called
    assert.deepEqual(await readSome(reader), ['1'])
    await writer.append('progress', '2')
    let returned = false
    await new Promise<void>(resolve => {
      reader.onReady(() => {
        assert.ok(returned)
        resolve()
      })
      returned = true
    })
    assert.deepEqual(await readSome(reader), ['2'])
  },

  'a reader that leaves is called back, and gets nothing more': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    const reader = await log.read(id)
    const called = calledBack(reader)
    reader.close()
    await called
    await writer.append('progress', '1')
    assert.equal(reader.ended, true)
    assert.deepEqual(reader.take(), [])
    reader.close()
  },

  'the readers of a stream do not disturb each other': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    const readers = await Promise.all(Array.from({ length: 50 }, async () => await log.read(id)))
    const readings = readers.map(async (reader, index) => {
      if (index % 2 === 0) return await readToEnd(reader)
      await calledBack(reader)
      reader.close()
      return undefined
    })
    for (let n = 1; n <= 5; n++) await writer.append('progress', String(n))
    await writer.end('completed', 'null')
    for (const [index, entries] of (await Promise.all(readings)).entries()) {
      assert.deepEqual(entries?.map(({ seq }) => seq), index % 2 === 0 ? [1, 2, 3, 4, 5, 6] : undefined)
    }
  },

  'the newest entries are kept, and who wants older ones is told of the gap': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    await appendAll(log, id, writer, Array.from({ length: 25 }, (_, index) => String(index + 1)))
    const { firstSeq, last } = (await log.stat(id))!
    assert.equal(last?.seq, 25)
    // A store may trim in small steps, and keep a few more.
    assert.ok(firstSeq > 1 && firstSeq <= 16, `from ${firstSeq} on is kept`)
    await assert.rejects(log.read(id), { code: 'MEDIATOR_ERR_LOG_GAP', statusCode: 410 })
    if (firstSeq > 2) await assert.rejects(log.read(id, after(firstSeq - 2)), { code: 'MEDIATOR_ERR_LOG_GAP' })
    await writer.end('completed', 'null')
    const from = (await log.stat(id))!.firstSeq
    const entries = await readToEnd(await log.read(id, after(from - 1)))
    assert.deepEqual(entries.map(({ seq }) => seq), Array.from({ length: 27 - from }, (_, index) => from + index))
  },

  'a reader that keeps up meets no gap, however long the stream is': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    const reader = await log.read(id)
    for (let n = 1; n <= 200; n++) {
      await writer.append('progress', String(n))
      assert.deepEqual(await readSome(reader), [String(n)])
    }
    await writer.end('completed', 'null')
    assert.deepEqual((await readToEnd(reader)).map(({ seq }) => seq), [201])
  },

  'an id that the log never held tells that it was rolled back': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    await appendAll(log, id, writer, ['1'])
    for (const position of [{ seq: 2, attempt: 1 }, { seq: 1, attempt: 2 }, { seq: 99, attempt: 1 }]) {
      await assert.rejects(log.read(id, { after: position }), { code: 'MEDIATOR_ERR_LOG_ROLLED_BACK', statusCode: 410 }, JSON.stringify(position))
    }
  },

  'a stream that was opened without a lease waits until it is taken, once': async ({ log, id }) => {
    const opened = await log.open(id, { ...ada, lease: false })
    assert.ok(opened.outcome === 'created' && opened.writer === undefined)
    assertInfo(opened.info, { state: 'queued', attempt: 0, firstSeq: 0, startedAt: undefined, endedAt: undefined, last: undefined })
    const reading = readToEnd(await log.read(id))
    const taken = await Promise.all([log.take(id), log.take(id), log.take(id)])
    assert.deepEqual(taken.map(({ outcome }) => outcome).sort(), ['leased', 'leased', 'taken'])
    const { writer, info } = taken.find((result): result is Taken => result.outcome === 'taken')!
    assertInfo(info, { state: 'running', attempt: 1 })
    await writer.append('start', '{}')
    await writer.end('completed', 'null')
    assert.equal((await reading).length, 2)
    const closed = await log.take(id)
    assert.ok(closed.outcome === 'closed')
    assertInfo(closed.info, { state: 'completed' })
    assert.deepEqual(await log.take(createStreamId()), { outcome: 'gone' })
  },

  'the next attempt goes on in the same log, and the one before is fenced': async ({ log, id }) => {
    const first = await openWriter(log, id)
    const reading = readToEnd(await log.read(id))
    await first.append('start', '{}')
    await appendAll(log, id, first, ['1'])
    assert.equal(first.signal.aborted, false)
    await first.release()
    await first.release()
    assertInfo((await log.stat(id))!, { state: 'queued', attempt: 1 })
    const taken = await log.take(id)
    assert.ok(taken.outcome === 'taken')
    const { writer: second, info } = taken
    assert.equal(second.attempt, 2)
    assertInfo(info, { state: 'running', attempt: 2, progressCount: 0 })
    assert.equal(info.last?.data, '1')
    assert.equal((first.signal.reason as { code?: string }).code, 'MEDIATOR_ERR_LOG_FENCED')
    assert.equal(await first.append('progress', 'late'), false)
    assert.equal(await first.end('failed', '{}'), false)
    await second.append('start', '{}')
    await appendAll(log, id, second, ['2'])
    assertInfo((await log.stat(id))!, { progressCount: 1 })
    const resumed = await log.read(id, after(2))
    await assert.rejects(log.read(id, after(3)), { code: 'MEDIATOR_ERR_LOG_ROLLED_BACK' })
    await second.end('completed', 'null')
    assert.deepEqual((await reading).map(({ seq, attempt, data }) => [seq, attempt, data]),
      [[1, 1, '{}'], [2, 1, '1'], [3, 2, '{}'], [4, 2, '2'], [5, 2, 'null']])
    assert.deepEqual((await readToEnd(resumed)).map(({ seq }) => seq), [3, 4, 5], 'an earlier attempt is no gap')
  },

  'there is one terminal, and nothing after it': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    const ends = await Promise.all([writer.end('failed', '1'), writer.end('completed', '2'), writer.append('progress', '3')])
    assert.deepEqual(ends, [true, false, false])
    const info = (await log.stat(id))!
    assertInfo(info, { state: 'failed', firstSeq: 1 })
    assert.deepEqual(info.last, { seq: 1, attempt: 1, event: 'failed', data: '1', bytes: 1 })
    assert.ok(info.endedAt! >= info.startedAt!)
    await writer.release()
    assertInfo((await log.stat(id))!, { state: 'failed' })
  },

  'the status stays after the frames that led to it were trimmed': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    await writer.append('start', '{}')
    for (let n = 1; n <= 30; n++) await writer.append('progress', String(n))
    await writer.end('completed', '{"total":30}')
    const info = (await log.stat(id))!
    assertInfo(info, { state: 'completed', progressCount: 30 })
    assert.equal(info.last?.data, '{"total":30}')
    assert.equal(info.last?.seq, 32)
  },

  'a cancel reaches the writer, who writes the end': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    const reading = readToEnd(await log.read(id))
    const aborted = new Promise<void>(resolve => writer.signal.addEventListener('abort', () => resolve()))
    assertInfo((await log.cancel(id))!, { state: 'running' })
    await aborted
    assert.equal((writer.signal.reason as { code?: string }).code, 'MEDIATOR_ERR_CANCELLED')
    await log.cancel(id)
    assert.equal(await writer.append('progress', '1'), true, 'what it has still to say is kept')
    assert.equal(await writer.end('cancelled', '{"code":"MEDIATOR_ERR_CANCELLED"}'), true)
    assert.deepEqual((await reading).map(({ event }) => event), ['progress', 'failed'])
    assertInfo((await log.cancel(id))!, { state: 'cancelled' })
  },

  'a signal that is asked for after the cancel has aborted': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    await log.cancel(id)
    // A writer may hear of it by its next append.
    await writer.append('progress', '1')
    const { signal } = writer
    if (!signal.aborted) await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
    assert.equal((signal.reason as { code?: string }).code, 'MEDIATOR_ERR_CANCELLED')
  },

  'a stream that completes before its cancel is heard has completed': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    const [, ended] = await Promise.all([log.cancel(id), writer.end('completed', 'null')])
    assert.equal(ended, true)
    assertInfo((await log.cancel(id))!, { state: 'completed' })
  },

  'a cancel ends a stream that nobody writes': async ({ log, id }) => {
    await log.open(id, { ...ada, lease: false })
    const reading = readToEnd(await log.read(id))
    const info = (await log.cancel(id))!
    assertInfo(info, { state: 'cancelled' })
    const problem = JSON.parse(info.last!.data) as { code: string, status: number, instance: string }
    assert.deepEqual([problem.code, problem.status, problem.instance], ['MEDIATOR_ERR_CANCELLED', 409, id])
    assert.deepEqual((await reading).map(({ event }) => event), ['failed'])
    assert.equal((await log.take(id)).outcome, 'closed')
  },

  'a cancelled stream that is given back ends, and has no next attempt': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    await writer.append('start', '{}')
    await log.cancel(id)
    await writer.release()
    const taken = await log.take(id)
    assert.ok(taken.outcome === 'closed')
    assertInfo(taken.info, { state: 'cancelled' })
    assert.ok(taken.info.last!.attempt > writer.attempt, 'its end is not that of the attempt that gave it back')
    assert.equal(await writer.end('completed', 'null'), false)
  },

  'the writer knows whether anybody reads': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    assert.equal(writer.hasReaders, false)
    const told: boolean[] = []
    let onTold = (): void => {}
    writer.onReaders(hasReaders => {
      told.push(hasReaders)
      onTold()
    })
    const reached = async (count: number): Promise<void> => await new Promise(resolve => {
      onTold = () => { if (told.length >= count) resolve() }
      onTold()
    })
    const first = await log.read(id)
    const second = await log.read(id)
    await reached(1)
    assert.equal(writer.hasReaders, true)
    first.close()
    first.close()
    second.close()
    await reached(2)
    assert.equal(writer.hasReaders, false)
    const third = await log.read(id)
    await reached(3)
    third.close()
    await reached(4)
    assert.deepEqual(told, [true, false, true, false])
  },

  'the stream of somebody else is one that does not exist': async ({ log, id }) => {
    await openWriter(log, id)
    const unknown = createStreamId()
    for (const [streamId, owner] of [[id, 'bob'], [unknown, 'bob'], [unknown, undefined], [id, '']] as const) {
      await assert.rejects(log.read(streamId, { owner }), { code: 'MEDIATOR_ERR_STREAM_NOT_FOUND', statusCode: 404 })
      await assert.rejects(log.read(streamId, { owner, ...after(99) }), { code: 'MEDIATOR_ERR_STREAM_NOT_FOUND' })
      assert.equal(await log.stat(streamId, { owner }), undefined)
      assert.equal(await log.cancel(streamId, { owner }), undefined)
    }
    assertInfo((await log.stat(id, { owner: 'ada' }))!, { state: 'running' })
    assert.equal((await log.list('bob', { limit: 10 })).streams.length, 0)
    const reader = await log.read(id, { owner: 'ada' })
    reader.close()
    assertInfo((await log.cancel(id, { owner: 'ada' }))!, { streamId: id })
  },

  'a stream that is discarded is as if it had never been opened': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    const reader = await log.read(id)
    const called = calledBack(reader)
    await writer.discard()
    await called
    assert.equal(reader.ended, true)
    assert.deepEqual(reader.take(), [], 'its readers end without an entry')
    reader.close()
    assert.equal(writer.signal.aborted, true)
    assert.equal(await writer.append('start', '{}'), false)
    assert.equal(await writer.end('failed', '{}'), false)
    assert.equal(await log.stat(id), undefined)
    assert.deepEqual(await log.take(id), { outcome: 'gone' })
    await assert.rejects(log.read(id), { code: 'MEDIATOR_ERR_STREAM_NOT_FOUND' })
    assert.deepEqual((await log.list('ada', { limit: 10 })).streams, [])
    const next = await openWriter(log, id, { owner: 'bob', fingerprint: 'two' })
    assert.equal(next.attempt, 1)
    await writer.discard()
    await writer.release()
    await appendAll(log, id, next, ['1'])
    assertInfo((await log.stat(id))!, { owner: 'bob', state: 'running', progressCount: 1 })
    await next.end('completed', 'null')
    await next.discard()
    assertInfo((await log.stat(id))!, { state: 'completed' })
  },

  'an owner\'s streams are listed in pages, the newest first': async ({ log }) => {
    const ids: string[] = []
    for (let n = 0; n < 7; n++) {
      const id = createStreamId()
      ids.unshift(id)
      await openWriter(log, id)
      await openWriter(log, createStreamId(), { owner: 'bob' })
    }
    const seen: string[] = []
    const sizes: number[] = []
    let next: string | undefined
    do {
      const page = await log.list('ada', { limit: 3, after: next })
      seen.push(...page.streams.map(({ streamId }) => streamId))
      sizes.push(page.streams.length)
      next = page.next
    } while (next !== undefined)
    assert.deepEqual(seen, ids)
    assert.deepEqual(sizes, [3, 3, 1])
    assert.deepEqual(await log.list('eve', { limit: 3 }), { streams: [], next: undefined })
  },

  'a stream is kept for a time after its end, and then it is as if it had never been': async ({ log, id, expire }) => {
    const running = createStreamId()
    await openWriter(log, running)
    const writer = await openWriter(log, id)
    await writer.end('completed', 'null')
    assert.equal((await log.open(id, ada)).outcome, 'exists')
    await expire()
    assert.equal(await log.stat(id), undefined)
    await assert.rejects(log.read(id), { code: 'MEDIATOR_ERR_STREAM_NOT_FOUND' })
    assert.deepEqual(await log.take(id), { outcome: 'gone' })
    assert.deepEqual((await log.list('ada', { limit: 10 })).streams.map(({ streamId }) => streamId), [running], 'what runs does not expire')
    assert.equal((await log.open(id, { ...ada, owner: 'bob' })).outcome, 'created')
  },

  'a log that is closed lets its readers and writers go': async ({ log, id }) => {
    const writer = await openWriter(log, id)
    await appendAll(log, id, writer, ['1'])
    const reader = await log.read(id, after(1))
    const called = calledBack(reader)
    await log.close()
    await called
    assert.equal(reader.ended, true)
    assert.equal((writer.signal.reason as { code?: string }).code, 'MEDIATOR_ERR_SHUTTING_DOWN')
    assert.equal(await writer.append('progress', '2'), false)
    assert.equal(await writer.end('completed', 'null'), false)
    await writer.release()
    await assert.rejects(log.open(createStreamId(), ada), { code: 'MEDIATOR_ERR_SHUTTING_DOWN' })
    await assert.rejects(log.take(id), { code: 'MEDIATOR_ERR_SHUTTING_DOWN' })
    await log.close()
  }
}

type Taken = Extract<TakeLogResult, { outcome: 'taken' }>

async function openWriter (log: StreamLog, id: string, options: Partial<OpenLogOptions> = {}): Promise<LogWriter> {
  const opened = await log.open(id, { ...ada, ...options })
  assert.ok(opened.outcome === 'created' && opened.writer !== undefined)
  return opened.writer
}

/** Writes progress, and waits until all that was written is stored. */
async function appendAll (log: StreamLog, id: string, writer: LogWriter, texts: readonly string[]): Promise<void> {
  for (const text of texts) await writer.append('progress', text)
  do await new Promise(setImmediate)
  while ((await log.stat(id))?.last?.data !== texts.at(-1))
}

function after (seq: number): ReadLogOptions {
  return { after: { seq, attempt: 1 } }
}

function assertInfo (info: LogInfo, expected: Partial<LogInfo>): void {
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map(key => [key, info[key as keyof LogInfo]])), expected)
}

async function calledBack (reader: LogReader): Promise<void> {
  await new Promise<void>(resolve => { reader.onReady(resolve) })
}

async function readSome (reader: LogReader): Promise<string[]> {
  await calledBack(reader)
  return reader.take().map(({ data }) => data)
}

async function readToEnd (reader: LogReader): Promise<LogEntry[]> {
  const read: LogEntry[] = []
  for (;;) {
    const entries = reader.take()
    read.push(...entries)
    if (reader.ended) break
    if (entries.length === 0) await calledBack(reader)
  }
  reader.close()
  return read
}
