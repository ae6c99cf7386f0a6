import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { createStreamId } from '../../lib/frame-id.js'
import { MemoryStreamLog } from '../../lib/memory-stream-log.js'
import type { MemoryStreamLogOptions } from '../../lib/memory-stream-log.js'
import type { LogEntry, LogReader, LogWriter, OpenLogOptions } from '../../lib/stream-log.js'
import { streamLogConformance } from '../../lib/testing/stream-log-conformance.js'
import { ManualClock } from '../support/manual-clock.js'

const options: OpenLogOptions = { owner: 'ada', command: 'count', fingerprint: 'one', lease: true }

function setUp (given?: MemoryStreamLogOptions): { log: MemoryStreamLog, clock: ManualClock } {
  const clock = new ManualClock()
  return { log: new MemoryStreamLog(given, clock), clock }
}

async function openWriter (log: MemoryStreamLog, id = createStreamId(), given: Partial<OpenLogOptions> = {}): Promise<LogWriter> {
  const opened = await log.open(id, { ...options, ...given })
  if (opened.outcome !== 'created' || opened.writer === undefined) throw new Error(opened.outcome)
  return opened.writer
}

/** Takes all there is now. */
function takeAll (reader: LogReader): LogEntry[] {
  const all: LogEntry[] = []
  for (let entries = reader.take(); entries.length > 0; entries = reader.take()) all.push(...entries)
  return all
}

/** What a promise has come to by the next turn. */
async function soon<T> (promise: T | Promise<T>): Promise<T | 'pending'> {
  return await Promise.race([promise, turn('pending' as const)])
}

const seqsOf = (entries: readonly LogEntry[]): number[] => entries.map(({ seq }) => seq)
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)

t.test('keeps the rules of every stream log:', async t => {
  for (const { name, run } of streamLogConformance(({ maxEntries }) => {
    const { log, clock } = setUp({ maxEntries })
    return { log, expire: async () => clock.advance(61_000) }
  })) t.test(name, run)
})

t.test('keeps the last thousand entries of a stream, and a mebibyte of them', async t => {
  const { log } = setUp()
  const id = createStreamId()
  const writer = await openWriter(log, id)
  for (let n = 1; n <= 1_000; n++) t.equal(writer.append('progress', '0') === true && (await log.stat(id))!.firstSeq === 1, true)
  writer.append('progress', '0')
  t.equal((await log.stat(id))!.firstSeq, 2)
  for (let n = 1; n <= 600; n++) writer.append('progress', 'x'.repeat(4_096))
  const { firstSeq } = (await log.stat(id))!
  t.ok(firstSeq > 1_601 - 256 && firstSeq < 1_601 - 240, `from ${firstSeq} on`)
  t.ok(log.heldBytes <= 1_048_576)
})

t.test('counts the bytes of texts as the process keeps them', async t => {
  for (const [text, least] of [['a'.repeat(1_000), 1_000], ['é'.repeat(1_000), 2_000], ['漢'.repeat(1_000), 3_000], [`${'a'.repeat(999)}漢`, 2_000]] as const) {
    const { log } = setUp()
    const writer = await openWriter(log)
    const before = log.heldBytes
    writer.append('progress', text)
    t.ok(log.heldBytes - before >= least && log.heldBytes - before < least + 200, `${log.heldBytes - before} bytes`)
  }
})

t.test('keeps the newest entry, whatever its size', async t => {
  const { log } = setUp({ maxEntries: 3, maxBytes: 10_000, maxTotalBytes: 20_000 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  writer.append('start', '{}')
  t.equal(writer.append('progress', 'x'.repeat(50_000)), true)
  t.match(await log.stat(id), { firstSeq: 2, last: { seq: 2 } })
  t.equal(writer.append('progress', 'y'), true)
  t.match(await log.stat(id), { firstSeq: 3, last: { seq: 3 } })
  t.ok(log.heldBytes < 10_000)
})

t.test('hands the same entries to all readers', async t => {
  const { log } = setUp()
  const id = createStreamId()
  const writer = await openWriter(log, id)
  for (let n = 0; n < 10; n++) writer.append('progress', String(n))
  const [first, second] = [takeAll(await log.read(id)), takeAll(await log.read(id))]
  t.equal(first.length, 10)
  for (const [index, entry] of first.entries()) t.equal(entry, second[index])
})

t.test('hands out batches that a slow reader can use, and at least one entry', async t => {
  const { log } = setUp({ maxBytes: 10_000_000 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  for (let n = 0; n < 300; n++) writer.append('progress', '0')
  for (let n = 0; n < 3; n++) writer.append('progress', 'x'.repeat(30_000))
  writer.append('progress', 'x'.repeat(100_000))
  writer.append('progress', '0')
  const reader = await log.read(id)
  const sizes: number[] = []
  for (let entries = reader.take(); entries.length > 0; entries = reader.take()) sizes.push(entries.length)
  t.strictSame(sizes, [256, 46, 1, 1, 1])
})

t.test('wakes the readers that wait once for all that was written at once, without a timer', async t => {
  const { log, clock } = setUp()
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const readers = await Promise.all(Array.from({ length: 1_000 }, async () => await log.read(id)))
  let calls = 0
  const got: number[] = []
  for (const reader of readers) {
    reader.onReady(() => {
      calls++
      got.push(reader.take().length)
    })
  }
  await turn()
  t.equal(calls, 0)
  for (let n = 0; n < 5; n++) writer.append('progress', String(n))
  t.equal(calls, 0, 'not within the append')
  await turn()
  t.equal(calls, 1_000)
  t.ok(got.every(count => count === 5))
  writer.append('progress', '5')
  await turn()
  t.equal(calls, 1_000, 'a callback is called once')
  t.equal(clock.timers, 0)
})

t.test('wakes readers in between where a writer does not let go of the event loop', async t => {
  const { log } = setUp()
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const reader = await log.read(id)
  const sizes: number[] = []
  const read = (): void => {
    sizes.push(reader.take().length)
    reader.onReady(read)
  }
  reader.onReady(read)
  for (let n = 0; n < 100; n++) {
    writer.append('progress', String(n))
    await null
  }
  t.equal(sizes.length, 3, 'in the time of microtasks alone')
  await turn()
  t.ok(sizes.every(size => size > 0 && size <= 33))
  t.equal(sizes.reduce((sum, size) => sum + size), 100)
})

t.test('does not call back a reader that has read by then what there was', async t => {
  const { log } = setUp()
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const reader = await log.read(id)
  writer.append('progress', '1')
  t.equal(reader.take().length, 1)
  let called = false
  reader.onReady(() => { called = true })
  await turn()
  t.equal(called, false)
  writer.append('progress', '2')
  await turn()
  t.equal(called, true)
})

t.test('lets a reader do in its callback whatever it likes', async t => {
  const { log } = setUp()
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const [leaving, ending, last] = await Promise.all([log.read(id), log.read(id), log.read(id)])
  leaving.onReady(() => leaving.close())
  ending.onReady(() => { void writer.end('failed', '{}') })
  const called = new Promise<void>(resolve => { last.onReady(resolve) })
  writer.append('progress', '1')
  await called
  t.strictSame(seqsOf(takeAll(last)), [1, 2])
  t.equal(last.ended, true)
})

t.test('serves 1,000 readers that begin anywhere and read as they like, without a gap', async t => {
  const { log } = setUp({ maxEntries: 500 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const readers: Array<{ reader: LogReader, from: number, seqs: number[] }> = []
  let seed = 1
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed % below
  }
  let written = 0
  const goOn: Array<boolean | Promise<boolean>> = []
  while (written < 2_000) {
    for (let n = random(20); n >= 0 && written < 2_000; n--) {
      written++
      const answer = writer.append('progress', String(written))
      if (answer !== true) {
        // Who holds up the writer reads.
        for (const { reader, seqs } of readers) seqs.push(...seqsOf(takeAll(reader)))
        t.equal(await answer, true)
        goOn.push(answer)
      }
    }
    for (let n = 0; n < 10 && readers.length < 1_000; n++) {
      const { firstSeq } = (await log.stat(id))!
      const seq = firstSeq - 1 + random(written - firstSeq + 2)
      readers.push({ reader: await log.read(id, { after: { seq, attempt: 1 } }), from: seq + 1, seqs: [] })
    }
    for (let n = 0; n < 50 && readers.length > 0; n++) {
      const { reader, seqs } = readers[random(readers.length)]!
      seqs.push(...seqsOf(reader.take()))
    }
  }
  await writer.end('completed', 'null')
  t.equal(readers.length, 1_000)
  t.ok(goOn.length > 0, `the writer has waited ${goOn.length} times`)
  for (const { reader, from, seqs } of readers) {
    seqs.push(...seqsOf(takeAll(reader)))
    if (seqs.length !== 2_002 - from || seqs.some((seq, index) => seq !== from + index)) t.fail(`from ${from}: ${seqs.join()}`)
    if (!reader.ended) t.fail('a reader has not ended')
  }
})

t.test('waits rather than trim what an attached reader has not read', async t => {
  const { log, clock } = setUp({ maxEntries: 3 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const reader = await log.read(id)
  for (let n = 1; n <= 3; n++) t.equal(writer.append('progress', String(n)), true)
  const answer = writer.append('progress', '4')
  t.equal(await soon(answer), 'pending')
  t.equal(await soon(writer.append('progress', '5')), 'pending', 'a writer that does not wait loses nothing')
  t.match(await log.stat(id), { firstSeq: 1, last: { seq: 5 } })
  t.strictSame(seqsOf(reader.take()), [1, 2, 3, 4, 5])
  t.equal(await answer, true)
  t.match(await log.stat(id), { firstSeq: 3 })
  t.equal(clock.timers, 0)
  t.equal(writer.append('progress', '6'), true, 'what was read may go')
})

t.test('waits for bytes as well, and only for readers that have not read', async t => {
  const { log } = setUp({ maxBytes: 20_000 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const [reading, still] = await Promise.all([log.read(id), log.read(id)])
  t.equal(writer.append('progress', 'x'.repeat(9_000)), true)
  t.equal(writer.append('progress', 'x'.repeat(9_000)), true)
  const answer = writer.append('progress', 'x'.repeat(9_000))
  takeAll(reading)
  t.equal(await soon(answer), 'pending')
  still.close()
  t.equal(await soon(answer), true)
  t.match(await log.stat(id), { firstSeq: 2 })
})

t.test('waits for a reader that came late', async t => {
  const { log } = setUp({ maxEntries: 3 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  for (let n = 1; n <= 5; n++) t.equal(writer.append('progress', String(n)), true)
  const tail = await log.read(id, { after: { seq: 5, attempt: 1 } })
  t.equal(writer.append('progress', '6'), true)
  const late = await log.read(id, { after: { seq: 3, attempt: 1 } })
  const answer = writer.append('progress', '7')
  takeAll(tail)
  t.equal(await soon(answer), 'pending')
  t.strictSame(seqsOf(takeAll(late)), [4, 5, 6, 7])
  t.equal(await soon(answer), true)
})

t.test('waits no longer than stallTimeoutMs for a reader that does not read; that one meets an explicit gap', async t => {
  const { log, clock } = setUp({ maxEntries: 3, stallTimeoutMs: 1_000 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const [stalled, tail] = await Promise.all([log.read(id), log.read(id)])
  for (let n = 1; n <= 3; n++) writer.append('progress', String(n))
  takeAll(tail)
  clock.advance(5_000)
  const answer = writer.append('progress', '4')
  takeAll(tail)
  clock.advance(999)
  t.equal(await soon(answer), 'pending', 'the time in which nobody waited for it does not count')
  clock.advance(1)
  t.equal(await soon(answer), true)
  t.equal(clock.timers, 0)
  t.equal(writer.append('progress', '5'), true, 'it holds up nobody any more')
  t.throws(() => stalled.take(), { code: 'MEDIATOR_ERR_LOG_GAP', statusCode: 410 })
  t.throws(() => stalled.take(), { code: 'MEDIATOR_ERR_LOG_GAP' }, 'and never skips it')
  t.strictSame(seqsOf(takeAll(tail)), [5], 'a reader at the tail was not cut')
  for (let n = 6; n <= 8; n++) writer.append('progress', String(n))
  t.equal(await soon(writer.append('progress', '9')), 'pending', 'and is still waited for')
})

t.test('lets a reader that was cut go on while it misses nothing', async t => {
  const { log, clock } = setUp({ maxEntries: 3, stallTimeoutMs: 1_000 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const reader = await log.read(id, {})
  for (let n = 1; n <= 4; n++) void writer.append('progress', String(n))
  clock.advance(1_000)
  t.throws(() => reader.take(), { code: 'MEDIATOR_ERR_LOG_GAP' })
  const other = await log.read(id, { after: { seq: 1, attempt: 1 } })
  void writer.append('progress', '5')
  clock.advance(1_000)
  t.throws(() => other.take(), { code: 'MEDIATOR_ERR_LOG_GAP' })
  const third = await log.read(id, { after: { seq: 2, attempt: 1 } })
  t.strictSame(seqsOf(takeAll(third)), [3, 4, 5])
})

t.test('does not cut a reader that reads little by little', async t => {
  const { log, clock } = setUp({ maxEntries: 600, stallTimeoutMs: 1_000 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const [slow, stalled] = await Promise.all([log.read(id), log.read(id)])
  for (let n = 1; n <= 1_200; n++) void writer.append('progress', String(n))
  const answer = writer.append('progress', '1201')
  clock.advance(900)
  t.strictSame(seqsOf(slow.take()), range(1, 256))
  clock.advance(900)
  t.equal(await soon(answer), 'pending', 'one was cut, the other is waited for')
  t.throws(() => stalled.take() && stalled.take() && stalled.take(), { code: 'MEDIATOR_ERR_LOG_GAP' })
  t.strictSame(seqsOf(slow.take()), range(257, 512))
  clock.advance(900)
  t.equal(await soon(answer), 'pending')
  t.strictSame(seqsOf(slow.take()), range(513, 768))
  t.equal(await soon(answer), true)
  t.strictSame(seqsOf(takeAll(slow)), range(769, 1_201))
})

for (const [how, end] of [
  ['ends', async (writer: LogWriter) => { await writer.end('cancelled', '{}') }],
  ['is released', async (writer: LogWriter) => { await writer.release() }],
  ['goes with its log', async (_writer: LogWriter, log: MemoryStreamLog) => { await log.close() }]
] as const) {
  t.test(`tells a writer that waits when it ${how}`, async t => {
    const { log, clock } = setUp({ maxEntries: 1 })
    const id = createStreamId()
    const writer = await openWriter(log, id)
    const reader = await log.read(id)
    writer.append('progress', '1')
    const answer = writer.append('progress', '2')
    t.equal(await soon(answer), 'pending')
    await end(writer, log)
    t.equal(await soon(answer), false)
    t.equal(clock.timers, how === 'ends' ? 1 : 0, 'only the sweeper has a timer')
    reader.close()
  })
}

t.test('ends without waiting, and keeps what an attached reader has not read', async t => {
  const { log } = setUp({ maxEntries: 2 })
  const id = createStreamId()
  const writer = await openWriter(log, id)
  const [slow, stuck] = await Promise.all([log.read(id), log.read(id)])
  writer.append('progress', '1')
  writer.append('progress', '2')
  t.equal(await writer.end('completed', 'null'), true)
  t.match(await log.stat(id), { state: 'completed', firstSeq: 1 })
  t.strictSame(seqsOf(takeAll(slow)), [1, 2, 3])
  slow.close()
  t.match(await log.stat(id), { firstSeq: 1 })
  stuck.close()
  t.match(await log.stat(id), { firstSeq: 2 }, 'then it is trimmed')
})

t.test('keeps a stream for retainMs after its end, and has one timer while there is one', async t => {
  const { log, clock } = setUp({ retainMs: 600 })
  const [first, second] = [createStreamId(), createStreamId()]
  const writers = await Promise.all([openWriter(log, first), openWriter(log, second), openWriter(log)])
  t.equal(clock.timers, 0, 'what runs does not expire')
  await writers[0]!.end('completed', 'null')
  clock.advance(300)
  await writers[1]!.end('failed', '{}')
  t.equal(clock.timers, 1)
  clock.advance(299)
  t.equal(log.size, 3)
  clock.advance(1)
  t.equal(await log.stat(first), undefined)
  t.equal(log.size, 2)
  clock.advance(300)
  t.equal(log.size, 1)
  t.equal(clock.timers, 0)
})

t.test('lets who reads a stream go on when its time is over, and nobody new begin', async t => {
  const { log, clock } = setUp()
  const empty = log.heldBytes
  const id = createStreamId()
  const writer = await openWriter(log, id)
  writer.append('progress', '1')
  const [first, second] = await Promise.all([log.read(id), log.read(id)])
  await writer.end('completed', 'null')
  clock.advance(60_000)
  await t.rejects(log.read(id), { code: 'MEDIATOR_ERR_STREAM_NOT_FOUND' })
  t.strictSame(seqsOf(takeAll(first)), [1, 2])
  first.close()
  t.ok(log.heldBytes > empty, 'it counts while one reads')
  const other = await openWriter(log, id, { owner: 'bob' })
  t.strictSame(seqsOf(takeAll(second)), [1, 2], 'and has nothing to do with a new one of the same id')
  const held = log.heldBytes
  second.close()
  t.ok(log.heldBytes < held)
  t.match(await log.stat(id), { owner: 'bob', state: 'running' })
  await other.end('completed', 'null')
  clock.advance(60_000)
  t.equal(log.heldBytes, empty)
  t.equal(clock.timers, 0)
})

t.test('gives up ended streams when it is full, the oldest first, and no other', async t => {
  const { log, clock } = setUp({ maxTotalBytes: 50_000 })
  const ids = Array.from({ length: 5 }, () => createStreamId())
  const writers = []
  for (const id of ids) writers.push(await openWriter(log, id))
  for (const writer of writers) writer.append('progress', 'x'.repeat(5_000))
  for (const index of [2, 0, 3]) await writers[index]!.end('completed', 'null')
  const reader = await log.read(ids[2]!)
  t.equal(log.size, 5)
  for (let n = 0; n < 4; n++) writers[1]!.append('progress', 'x'.repeat(5_000))
  t.equal(await log.stat(ids[0]!), undefined, 'the oldest, which has a reader, stays')
  t.ok(await log.stat(ids[2]!))
  t.ok(await log.stat(ids[3]!))
  t.ok(log.heldBytes <= 50_000)
  t.strictSame(takeAll(reader).length, 2)
  reader.close()
  writers[1]!.append('progress', 'x'.repeat(5_000))
  t.equal(await log.stat(ids[3]!), undefined, 'it has become the younger one')
  t.ok(await log.stat(ids[2]!))
  writers[1]!.append('progress', 'x'.repeat(5_000))
  t.equal(await log.stat(ids[2]!), undefined)
  t.equal(clock.timers, 0, 'nothing is left to expire')
  t.match(await log.stat(ids[1]!), { state: 'running' })
  t.match(await log.stat(ids[4]!), { state: 'running', firstSeq: 1 })
})

t.test('lets a stream pay with its own past when it is full of running ones, and refuses new ones', async t => {
  const { log } = setUp({ maxTotalBytes: 50_000 })
  const [first, second] = [createStreamId(), createStreamId()]
  const writers = await Promise.all([openWriter(log, first), openWriter(log, second)])
  for (let n = 0; n < 20; n++) writers[0]!.append('progress', 'x'.repeat(1_000))
  for (let n = 0; n < 200; n++) t.equal(writers[1]!.append('progress', 'x'.repeat(1_000)), true)
  t.ok(log.heldBytes <= 50_000)
  t.match(await log.stat(first), { firstSeq: 1 })
  t.match(await log.stat(second), { last: { seq: 200 } })
  t.ok((await log.stat(second))!.firstSeq > 170)
  const reader = await log.read(second, { after: { seq: 199, attempt: 1 } })
  t.equal(writers[1]!.append('progress', 'x'.repeat(1_000)), true)
  writers[0]!.append('progress', 'x'.repeat(48_000))
  t.ok(log.heldBytes > 50_000, 'the newest is kept')
  await t.rejects(log.open(createStreamId(), options), { code: 'MEDIATOR_ERR_LOG_FULL', statusCode: 503 })
  t.equal((await log.open(first, options)).outcome, 'exists', 'one that is there is not new')
  const answer = writers[1]!.append('progress', 'x')
  t.equal(await soon(answer), 'pending', 'readers are waited for')
  takeAll(reader)
  t.equal(await soon(answer), true)
  t.match(await log.stat(second), { firstSeq: 202, last: { seq: 202 } })
  await writers[0]!.end('completed', 'null')
  t.equal((await log.open(createStreamId(), options)).outcome, 'created', 'there is room again')
  t.match(await log.stat(first), { state: 'completed', firstSeq: 22 })
})

t.test('holds no more than it says', { timeout: 60_000 }, async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = (): number => {
    collect()
    collect()
    return process.memoryUsage().heapUsed
  }
  for (const [streams, entries, text] of [[2_000, 1, 'x'], [1_000, 100, 'x'.repeat(20)], [50, 1_000, 'é'.repeat(40)], [10, 1_000, '漢'.repeat(20)]] as const) {
    const { log } = setUp()
    const before = used()
    const writers: LogWriter[] = []
    for (let n = 0; n < streams; n++) {
      const writer = await openWriter(log, createStreamId(), { owner: `owner-${n}`, fingerprint: createStreamId() + createStreamId() })
      writers.push(writer)
      for (let each = 0; each < entries; each++) writer.append('progress', JSON.stringify({ each, text }))
    }
    const held = used() - before
    t.comment(`${streams} streams of ${entries}: ${Math.round(held / 1024)} KiB of heap, ${Math.round(log.heldBytes / 1024)} KiB counted`)
    t.ok(held <= log.heldBytes * 1.1, `${held} <= ${log.heldBytes}`)
    t.ok(held >= log.heldBytes * 0.3, 'nor much less')
    t.equal(log.size, streams)
    await log.close()
    t.ok(used() - before <= streams * 1_536 + 200_000, 'nor anything when it is closed, but for the writers')
    t.equal(writers.length, streams)
  }
})

t.test('has nothing left when it is closed', async t => {
  const { log, clock } = setUp({ maxEntries: 1 })
  const [running, ended] = [createStreamId(), createStreamId()]
  const writer = await openWriter(log, running)
  await (await openWriter(log, ended)).end('completed', 'null')
  const reader = await log.read(running)
  // Who ends what was aborted makes nothing new.
  let end: Promise<boolean> | undefined
  writer.signal.addEventListener('abort', () => { end = writer.end('failed', '{}') })
  writer.append('progress', '1')
  void writer.append('progress', '2')
  t.equal(clock.timers, 2)
  await log.close()
  t.equal(await end, false)
  t.equal(clock.timers, 0)
  t.equal(log.size, 0)
  t.equal(log.heldBytes, 0)
  t.equal(reader.ended, true)
  t.strictSame(await log.list('ada', { limit: 10 }), { streams: [], next: undefined })
})

t.test('gives a stream back once, whatever its writer does when it hears of it', async t => {
  const { log } = setUp()
  const id = createStreamId()
  const writer = await openWriter(log, id)
  let end: Promise<boolean> | undefined
  writer.signal.addEventListener('abort', () => { end = writer.end('failed', '{}') })
  await writer.release()
  t.equal(await end, false)
  t.match(await log.stat(id), { state: 'queued' })
})

t.test('runs on the clock of the system', async t => {
  const log = new MemoryStreamLog({ retainMs: 0 })
  t.teardown(() => log.close())
  await (await openWriter(log)).end('completed', 'null')
  t.equal(log.size, 1)
  while (log.size > 0) await new Promise<void>(resolve => { setTimeout(resolve, 1) })
  t.equal(log.heldBytes, 0)
})

for (const given of [
  { maxEntries: 0 }, { maxBytes: 0 }, { maxTotalBytes: 1.5 }, { retainMs: -1 }, { retainMs: 2 ** 31 }, { stallTimeoutMs: 9 }, { entries: 5 }
]) {
  t.test(`refuses ${JSON.stringify(given)}`, async t => {
    t.throws(() => new MemoryStreamLog(given as MemoryStreamLogOptions), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /MemoryStreamLog/ })
  })
}
