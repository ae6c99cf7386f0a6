import assert from 'node:assert/strict'
import { CancelledError } from '../../lib/errors.js'
import { MemoryStreamLog } from '../../lib/memory-stream-log.js'
import { problemOf } from '../../lib/problem.js'
import type { LogEnd, LogEntry, LogReader, LogState, LogWriter } from '../../lib/stream-log.js'
import { ManualClock } from '../support/manual-clock.js'

export interface LogBounds {
  readonly maxEntries: number
  readonly maxBytes: number
  readonly maxTotalBytes: number
}

export const retainMs = 600
// Streams expire at times that are multiples of 50, or 10 later; readers are cut at others.
export const stallTimeoutMs = 1_025
// What the options page tells of an entry.
const entryOverhead = 128

/** What a stream should be: all that was ever written to it, in a plain array. */
export interface ModelStream {
  readonly id: string
  readonly number: number
  readonly owner: string
  readonly fingerprint: string
  readonly base: number
  readonly all: Array<Omit<LogEntry, 'bytes'>>
  readonly readers: Set<ModelReader>
  state: LogState
  attempt: number
  /** How many of its entries are trimmed. */
  trimmed: number
  writer: LogWriter | undefined
  cancelled: boolean
  progressCount: number
  endedAt: number | undefined
  waiting: { readonly since: number, readonly answer: Answer, timerAt: number, timerNumber: number } | undefined
  /** Whether its id is forgotten, while there still are readers. */
  forgotten: boolean
}

export interface ModelReader {
  readonly real: LogReader
  readonly stream: ModelStream
  seq: number
  readAt: number
  pacing: boolean
  closed: boolean
  /** How often a callback should have been called, and was. */
  due: number
  called: number
  asked: boolean
}

/** What a promise of the writer has come to. */
export interface Answer { value: boolean | 'pending' }

/** The memory log as it should be, and what its bounds and its time mean for it. */
export class LogModel {
  now = 0
  opened = 0
  readonly streams = new Map<string, ModelStream>()
  /** Those that are forgotten and still read. */
  readonly leftovers = new Set<ModelStream>()
  /** Ended and without readers, the oldest first. */
  readonly spare = new Set<ModelStream>()
  readonly readers: ModelReader[] = []
  readonly staleWriters: LogWriter[] = []
  /** What writers that waited should have been told by now. */
  readonly settled: Array<[Answer, boolean]> = []
  readonly #bounds: LogBounds
  readonly #seen: Map<string, number>
  #timers = 0

  constructor (bounds: LogBounds, seen: Map<string, number>) {
    this.#bounds = bounds
    this.#seen = seen
  }

  /** Counts what has happened, so that nothing is thought to be tested that never happens. */
  saw (what: string): void {
    this.#seen.set(what, (this.#seen.get(what) ?? 0) + 1)
  }

  get heldBytes (): number {
    return [...this.streams.values(), ...this.leftovers].reduce((sum, stream) => sum + bytesOf(stream), 0)
  }

  push (stream: ModelStream, event: string, data: string): void {
    stream.all.push({ seq: stream.all.length + 1, attempt: stream.attempt, event, data })
    if (event !== 'start' && event !== 'complete' && event !== 'failed') stream.progressCount++
    for (const reader of stream.readers) this.wake(reader)
  }

  end (stream: ModelStream, state: LogEnd, data: string): void {
    stream.state = state
    stream.endedAt = this.now
    this.dropWriter(stream)
    this.push(stream, state === 'completed' ? 'complete' : 'failed', data)
    this.goOn(stream, false)
    this.trim(stream)
    if (stream.readers.size === 0) this.spare.add(stream)
  }

  /** Ends it by the log's own word, as an attempt of its own. */
  endCancelled (stream: ModelStream): void {
    stream.attempt++
    this.end(stream, 'cancelled', JSON.stringify(problemOf(new CancelledError(), stream.id)))
  }

  /** Forgets it as if it had never been opened: its readers have ended, wherever they are. */
  discard (stream: ModelStream): void {
    this.saw('a stream was discarded')
    this.dropWriter(stream)
    this.goOn(stream, false)
    const readers = [...stream.readers]
    this.forget(stream)
    for (const reader of readers) this.leave(reader)
  }

  dropWriter (stream: ModelStream): void {
    if (stream.writer !== undefined) this.staleWriters.push(stream.writer)
    stream.writer = undefined
  }

  trim (stream: ModelStream): boolean {
    const { maxEntries, maxBytes } = this.#bounds
    for (;;) {
      const kept = stream.all.length - stream.trimmed
      if (!(kept > maxEntries || bytesOf(stream) > maxBytes || this.isFull()) || kept <= 1) return true
      if ([...stream.readers].some(reader => reader.pacing && reader.seq <= stream.trimmed)) return false
      stream.trimmed++
    }
  }

  isFull (): boolean {
    for (const stream of this.spare) {
      if (this.heldBytes <= this.#bounds.maxTotalBytes) break
      this.saw('an ended stream was given up')
      this.forget(stream)
    }
    return this.heldBytes > this.#bounds.maxTotalBytes
  }

  relieve (stream: ModelStream): void {
    if (stream.waiting !== undefined && this.trim(stream)) this.goOn(stream, true)
  }

  goOn (stream: ModelStream, value: boolean): void {
    if (stream.waiting !== undefined) this.saw(value ? 'a writer went on' : 'a writer that waited was sent away')
    if (stream.waiting !== undefined) this.settled.push([stream.waiting.answer, value])
    stream.waiting = undefined
  }

  leave (reader: ModelReader): void {
    const { stream } = reader
    if (reader.closed) return
    reader.closed = true
    stream.readers.delete(reader)
    if (stream.endedAt !== undefined) this.trim(stream)
    else this.relieve(stream)
    this.wake(reader)
    if (stream.readers.size > 0) return
    if (stream.forgotten) this.leftovers.delete(stream)
    else if (stream.endedAt !== undefined) this.spare.add(stream)
  }

  hasSomething (reader: ModelReader): boolean {
    return reader.closed || reader.stream.endedAt !== undefined || reader.seq < reader.stream.all.length
  }

  wake (reader: ModelReader): void {
    if (!reader.asked || !this.hasSomething(reader)) return
    reader.asked = false
    reader.due++
  }

  forget (stream: ModelStream): void {
    this.streams.delete(stream.id)
    this.spare.delete(stream)
    stream.forgotten = true
    if (stream.readers.size === 0) return
    this.saw('a stream was read after its time')
    this.leftovers.add(stream)
  }

  wait (stream: ModelStream, answer: Answer): void {
    this.saw('a writer waited')
    stream.waiting = { since: this.now, answer, timerAt: this.now + stallTimeoutMs, timerNumber: ++this.#timers }
  }

  /** Cuts the readers that stall, in the order in which their writers' timers fire. */
  advance (ms: number): void {
    const end = this.now + ms
    for (;;) {
      const [stream] = [...this.streams.values()].filter(({ waiting }) => waiting !== undefined && waiting.timerAt <= end)
        .sort(({ waiting: one }, { waiting: other }) => one!.timerAt - other!.timerAt || one!.timerNumber - other!.timerNumber)
      if (stream === undefined) break
      this.now = stream.waiting!.timerAt
      this.#cut(stream, stream.waiting!)
    }
    this.now = end
  }

  #cut (stream: ModelStream, waiting: NonNullable<ModelStream['waiting']>): void {
    const stalledAt = (reader: ModelReader): number => Math.max(waiting.since, reader.readAt) + stallTimeoutMs
    const behind = [...stream.readers].filter(reader => reader.pacing && reader.seq < stream.all.length)
    for (const reader of behind) {
      if (stalledAt(reader) > this.now) continue
      reader.pacing = false
      this.saw('a reader was cut')
    }
    this.relieve(stream)
    waiting.timerAt = Math.max(Math.min(...behind.filter(({ pacing }) => pacing).map(stalledAt)), this.now + 1)
    waiting.timerNumber = ++this.#timers
  }
}

function bytesOf (stream: ModelStream): number {
  let bytes = stream.base
  for (let index = stream.trimmed; index < stream.all.length; index++) bytes += entryOverhead + stream.all[index]!.data.length
  return bytes
}

/** The memory log itself, on a clock of its own. */
export class LogSubject {
  readonly clock = new ManualClock()
  readonly log: MemoryStreamLog
  steps = 0

  constructor (bounds: LogBounds) {
    this.log = new MemoryStreamLog({ ...bounds, retainMs, stallTimeoutMs }, this.clock)
  }

  /** Compares what can be seen of the log with what should be. */
  async compare (model: LogModel): Promise<void> {
    this.steps++
    // Whoever is to be called back in this turn has been.
    await new Promise(setImmediate)
    for (const [answer, value] of model.settled.splice(0)) assert.equal(answer.value, value, 'what a writer that waited was told')
    for (const stream of model.streams.values()) {
      if (stream.waiting !== undefined) assert.equal(stream.waiting.answer.value, 'pending')
      await this.#compareStream(stream)
    }
    for (const reader of model.readers) {
      assert.equal(reader.called, reader.due, 'how often a reader was called back')
      const { stream } = reader
      assert.equal(reader.real.ended, reader.closed || (stream.endedAt !== undefined && reader.seq === stream.all.length), 'whether a reader has ended')
    }
    // Some of those that have left are kept, for what they are asked then.
    if (model.readers.length >= 30) model.readers.splice(0, Infinity, ...model.readers.filter(({ closed }) => !closed))
    assert.equal(this.log.size, model.streams.size)
    assert.equal(this.log.heldBytes, model.heldBytes)
    const waiting = [...model.streams.values()].filter(stream => stream.waiting !== undefined).length
    const sweeping = [...model.streams.values()].some(stream => stream.endedAt !== undefined) ? 1 : 0
    assert.equal(this.clock.timers, waiting + sweeping, 'timers')
  }

  /** Closes the log and finds nothing left. */
  async assertDrained (model: LogModel): Promise<void> {
    await this.log.close()
    for (const { real } of model.readers) real.close()
    assert.equal(this.log.size, 0)
    assert.equal(this.log.heldBytes, 0)
    assert.equal(this.clock.timers, 0)
  }

  async #compareStream (stream: ModelStream): Promise<void> {
    const info = (await this.log.stat(stream.id))!
    const { all, trimmed } = stream
    assert.deepEqual(
      [info.owner, info.state, info.attempt, info.firstSeq, info.last?.seq, info.progressCount],
      [stream.owner, stream.state, stream.attempt, all.length === 0 ? 0 : trimmed + 1, all.at(-1)?.seq, stream.progressCount])
  }
}

/** Compares what was read with what was written. */
export function assertEntries (read: readonly LogEntry[], written: ReadonlyArray<Omit<LogEntry, 'bytes'>>): void {
  assert.deepEqual(read, written.map(entry => ({ ...entry, bytes: entry.data.length })))
}
