import { LogGapError } from './errors.js'
import type { MemoryLog } from './memory-log.js'
import type { LogEntry, LogReader } from './stream-log.js'

// About what a response takes in a few writes: enough to make the cost of a batch small, and soon read.
const maxBatchEntries = 256
const maxBatchBytes = 65_536

const none: readonly LogEntry[] = []

/** A cursor in the log of one stream. */
export class MemoryLogReader implements LogReader {
  /** The last entry that was read; 0 before the first. */
  seq: number
  /** Whether the writer waits rather than trim what comes next here. */
  pacing = true
  /** When it last read while the writer waited for it, or began. */
  readAt = 0
  readonly #log: MemoryLog
  #closed = false
  #callback: (() => void) | undefined

  constructor (log: MemoryLog, seq: number) {
    this.#log = log
    this.seq = seq
  }

  get ended (): boolean {
    return this.#closed || (this.#log.ended && this.seq === this.#log.lastSeq)
  }

  take (): readonly LogEntry[] {
    const log = this.#log
    if (this.#closed || this.seq === log.lastSeq) return none
    if (this.seq < log.firstSeq - 1) throw new LogGapError()
    const entries = log.slice(this.seq + 1, maxBatchEntries, maxBatchBytes)
    this.seq = entries[entries.length - 1]!.seq
    log.onTake(this)
    return entries
  }

  onReady (callback: () => void): void {
    this.#callback = callback
    if (this.#isReady) this.#wakeSoon()
  }

  close (): void {
    if (this.#closed) return
    this.#closed = true
    this.#log.detach(this)
    if (this.#callback !== undefined) this.#wakeSoon()
  }

  get #isReady (): boolean {
    return this.#closed || this.#log.ended || this.seq < this.#log.lastSeq
  }

  #wakeSoon (): void {
    queueMicrotask(() => this.wake())
  }

  /** Calls the callback that waits, if there is something to tell. */
  wake (): void {
    if (!this.#isReady) return
    const callback = this.#callback
    this.#callback = undefined
    callback?.()
  }
}
