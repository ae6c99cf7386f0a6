import type { Clock } from './clock.js'
import { CancelledError, LogFencedError, LogGapError, LogRolledBackError } from './errors.js'
import type { MemoryLogReader } from './memory-log-reader.js'
import { MemoryLogWriter } from './memory-log-writer.js'
import { problemOf } from './problem.js'
import type { LogEnd, LogEntry, LogInfo, LogPosition, LogState, OpenLogOptions } from './stream-log.js'
import { afterMicrotasks } from './turns.js'

/** About what an entry takes beside its text, and a log beside its entries and texts, in bytes. */
const entryOverhead = 128
const logOverhead = 1_536

/** How many entries are written before readers are woken in between: few enough for them to be written out in the meantime. */
const wakeEntries = 32

const resolved = Promise.resolve()

/** What the logs of a process share. */
export interface MemoryLogHost {
  readonly clock: Clock
  readonly maxEntries: number
  readonly maxBytes: number
  readonly stallTimeoutMs: number
  /** What all logs take, in bytes. */
  heldBytes: number
  /** Whether that is too much, also after logs that have ended were given up. */
  isFull (): boolean
  /** Told once, when the log has ended. */
  logEnded (log: MemoryLog): void
  /** Told once, when the log is to be forgotten. */
  logDiscarded (log: MemoryLog): void
  /** Told when somebody begins to read, and when the last reader has left. */
  logRead (log: MemoryLog): void
}

/** The log of one stream: a ring of entries, who writes it and who reads it. */
export class MemoryLog {
  readonly streamId: string
  readonly owner: string
  readonly fingerprint: string
  /** The place among all logs of the process. */
  readonly number: number
  lastSeq = 0
  ended = false
  writer: MemoryLogWriter | undefined
  readonly #command: string
  readonly #meta: string | undefined
  readonly #host: MemoryLogHost
  readonly #readers = new Set<MemoryLogReader>()
  // The first `#head` are trimmed already, so that this costs no shift of all others each time.
  #entries: Array<LogEntry | undefined> = []
  #head = 0
  #bytes: number
  #state: LogState = 'queued'
  #attempt = 0
  #progressCount = 0
  #startedAt: number | undefined
  #endedAt: number | undefined
  #cancelled = false
  // No reader for whom the writer waits is before it; may be lower than it could be.
  #floor = Infinity
  #waking = false
  // Written since the readers were woken.
  #unread = 0
  #waiting: { readonly since: number, readonly promise: Promise<boolean>, resolve (goOn: boolean): void, stopTimer (): void } | undefined

  constructor (streamId: string, { owner, command, fingerprint, meta }: OpenLogOptions, number: number, host: MemoryLogHost) {
    this.streamId = streamId
    this.owner = owner
    this.fingerprint = fingerprint
    this.number = number
    this.#command = command
    this.#meta = meta
    this.#host = host
    this.#bytes = logOverhead + 2 * (streamId.length + owner.length + fingerprint.length + (meta?.length ?? 0))
    host.heldBytes += this.#bytes
  }

  get hasReaders (): boolean {
    return this.#readers.size > 0
  }

  /** The oldest entry that is kept, or the next one where there is none. */
  get firstSeq (): number {
    return this.lastSeq - this.#count + 1
  }

  get info (): LogInfo {
    return {
      streamId: this.streamId,
      owner: this.owner,
      command: this.#command,
      meta: this.#meta,
      state: this.#state,
      attempt: this.#attempt,
      firstSeq: this.#count === 0 ? 0 : this.firstSeq,
      last: this.#entries.at(-1),
      progressCount: this.#progressCount,
      startedAt: this.#startedAt,
      endedAt: this.#endedAt
    }
  }

  /** Begins the next attempt. Only where there is no writer. */
  take (): MemoryLogWriter {
    this.#attempt++
    this.#state = 'running'
    this.#progressCount = 0
    this.#startedAt ??= Date.now()
    this.writer = new MemoryLogWriter(this, this.#attempt)
    return this.writer
  }

  append (event: string, data: string): boolean | Promise<boolean> {
    this.#push(event, data)
    if (event !== 'start') this.#progressCount++
    return this.#trim() || this.#wait()
  }

  end (state: LogEnd, data: string): void {
    this.ended = true
    this.#state = state
    this.#endedAt = Date.now()
    this.writer = undefined
    this.#push(state === 'completed' ? 'complete' : 'failed', data)
    this.#goOn(false)
    // What an attached reader has not read stays, whatever the bounds say: the end waits for nobody.
    this.#trim()
    this.#host.logEnded(this)
  }

  release (): void {
    this.writer = undefined
    this.#state = 'queued'
    this.#goOn(false)
    if (this.#cancelled) this.#endCancelled()
  }

  cancel (): void {
    if (this.ended || this.#cancelled) return
    this.#cancelled = true
    if (this.writer === undefined) this.#endCancelled()
    else this.writer.abort(new CancelledError())
  }

  /** Forgets it, before anything was written. */
  discard (): void {
    this.abandon(new LogFencedError())
    this.#host.logDiscarded(this)
  }

  /** Ends it without a terminal, for the process or its log goes away. */
  abandon (error: Error): void {
    const { writer } = this
    this.writer = undefined
    this.ended = true
    this.#goOn(false)
    for (const reader of this.#readers) reader.close()
    // Last, because its listeners run at once.
    writer?.abort(error)
  }

  /** @throws MEDIATOR_ERR_LOG_GAP, MEDIATOR_ERR_LOG_ROLLED_BACK */
  assertFollows ({ seq, attempt }: LogPosition): void {
    if (seq > this.lastSeq) throw new LogRolledBackError()
    const { firstSeq } = this
    const entry = seq === 0 ? undefined : this.#at(Math.max(seq, firstSeq))
    // Attempts follow each other: one that is above that of a later entry has not written what is trimmed, either.
    if (entry !== undefined && (seq < firstSeq ? attempt > entry.attempt : attempt !== entry.attempt)) throw new LogRolledBackError()
    if (seq < firstSeq - 1) throw new LogGapError()
  }

  attach (reader: MemoryLogReader): void {
    this.#readers.add(reader)
    reader.readAt = this.#host.clock.now()
    this.#floor = Math.min(this.#floor, reader.seq)
    if (this.#readers.size === 1) this.#tellReaders()
  }

  detach (reader: MemoryLogReader): void {
    this.#readers.delete(reader)
    // One that goes away gives all of its memory back: nothing else need be given up for it.
    if (this.#endedAt !== undefined) this.#trim()
    else this.#relieve()
    if (this.#readers.size === 0) this.#tellReaders()
  }

  onTake (reader: MemoryLogReader): void {
    if (this.#waiting === undefined) return
    reader.readAt = this.#host.clock.now()
    this.#relieve()
  }

  /** The entries from a kept one on, at least one. */
  slice (seq: number, maxEntries: number, maxBytes: number): readonly LogEntry[] {
    const from = this.#head + seq - this.firstSeq
    const end = Math.min(this.#entries.length, from + maxEntries)
    let to = from
    for (let bytes = 0; to < end && (to === from || bytes + this.#entries[to]!.bytes <= maxBytes); to++) bytes += this.#entries[to]!.bytes
    return this.#entries.slice(from, to) as LogEntry[]
  }

  /** Gives its memory back, also where a handler that does not end still has its writer. */
  drop (): void {
    this.#grow(-this.#bytes)
    this.#entries = []
    this.#head = 0
  }

  get #count (): number {
    return this.#entries.length - this.#head
  }

  #at (seq: number): LogEntry {
    return this.#entries[this.#head + seq - this.firstSeq]!
  }

  #push (event: string, data: string): void {
    const entry: LogEntry = { seq: ++this.lastSeq, attempt: this.#attempt, event, data, bytes: Buffer.byteLength(data) }
    this.#entries.push(entry)
    this.#grow(sizeOf(entry))
    this.#wakeReaders()
  }

  // Once for many entries that are written in one go, because waking costs more than writing. Whatever the readers do, the writer is out of the way.
  #wakeReaders (): void {
    if (this.#readers.size === 0) return
    this.#unread++
    if (this.#unread === wakeEntries) void resolved.then(this.#onWake)
    if (this.#waking) return
    this.#waking = true
    afterMicrotasks(this.#onTurnEnd)
  }

  readonly #onTurnEnd = (): void => {
    this.#waking = false
    this.#onWake()
  }

  readonly #onWake = (): void => {
    this.#unread = 0
    for (const reader of this.#readers) reader.wake()
  }

  #grow (bytes: number): void {
    this.#bytes += bytes
    this.#host.heldBytes += bytes
  }

  // Drops the oldest until the bounds are kept. False if a reader has to read first.
  #trim (): boolean {
    const { maxEntries, maxBytes } = this.#host
    while ((this.#count > maxEntries || this.#bytes > maxBytes || this.#host.isFull()) && this.#count > 1) {
      const oldest = this.#entries[this.#head]!
      if (oldest.seq > this.#floor && !this.#raiseFloor(oldest.seq)) return false
      this.#entries[this.#head++] = undefined
      this.#grow(-sizeOf(oldest))
      if (this.#head >= 32 && this.#head > this.#count) {
        this.#entries = this.#entries.slice(this.#head)
        this.#head = 0
      }
    }
    return true
  }

  #raiseFloor (seq: number): boolean {
    this.#floor = Infinity
    for (const reader of this.#readers) if (reader.pacing && reader.seq < this.#floor) this.#floor = reader.seq
    return seq <= this.#floor
  }

  #wait (): Promise<boolean> {
    if (this.#waiting !== undefined) return this.#waiting.promise
    let resolve!: (goOn: boolean) => void
    const promise = new Promise<boolean>(_resolve => { resolve = _resolve })
    const { clock, stallTimeoutMs } = this.#host
    this.#waiting = { since: clock.now(), promise, resolve, stopTimer: this.#cutStalledAfter(stallTimeoutMs) }
    return promise
  }

  #cutStalledAfter (ms: number): () => void {
    return this.#host.clock.after(ms, () => this.#cutStalled())
  }

  // A reader that has not read for that long is not waited for, neither now nor later.
  #cutStalled (): void {
    const { clock, stallTimeoutMs } = this.#host
    const { since } = this.#waiting!
    let next = Infinity
    for (const reader of this.#readers) {
      if (!reader.pacing || reader.seq === this.lastSeq) continue
      const stalledAt = Math.max(since, reader.readAt) + stallTimeoutMs
      if (stalledAt <= clock.now()) reader.pacing = false
      else next = Math.min(next, stalledAt)
    }
    this.#relieve()
    if (this.#waiting !== undefined) this.#waiting.stopTimer = this.#cutStalledAfter(Math.max(next - clock.now(), 1))
  }

  #relieve (): void {
    if (this.#waiting !== undefined && this.#trim()) this.#goOn(true)
  }

  #goOn (goOn: boolean): void {
    this.#waiting?.stopTimer()
    this.#waiting?.resolve(goOn)
    this.#waiting = undefined
  }

  #tellReaders (): void {
    this.#host.logRead(this)
    this.writer?.listener?.(this.hasReaders)
  }

  // As an attempt of its own, so that nothing an earlier one may still write can follow.
  #endCancelled (): void {
    this.#attempt++
    this.end('cancelled', JSON.stringify(problemOf(new CancelledError(), this.streamId)))
  }
}

/** At most what the entry takes: V8 keeps a text that is not ASCII in up to two bytes a character, and JSON's bytes may be more. */
function sizeOf ({ data, bytes }: LogEntry): number {
  return entryOverhead + (bytes === data.length ? bytes : Math.max(bytes, 2 * data.length))
}
