import { Type } from '@sinclair/typebox'
import { systemClock } from './clock.js'
import type { Clock } from './clock.js'
import { LogFullError, ShuttingDownError, StreamNotFoundError } from './errors.js'
import { maxTimeoutMs } from './max-timeout.js'
import { MemoryLog } from './memory-log.js'
import type { MemoryLogHost } from './memory-log.js'
import { MemoryLogReader } from './memory-log-reader.js'
import { parseOptions } from './options.js'
import type {
  ListLogsOptions, LogAccess, LogInfo, LogPage, LogReader, OpenLogOptions, OpenLogResult, ReadLogOptions, StreamLog, TakeLogResult
} from './stream-log.js'
import { Sweeper } from './sweeper.js'

const optionsSchema = Type.Object({
  maxEntries: Type.Integer({ minimum: 1, default: 1_000 }),
  maxBytes: Type.Integer({ minimum: 1, default: 1_048_576 }),
  maxTotalBytes: Type.Integer({ minimum: 1, default: 67_108_864 }),
  retainMs: Type.Integer({ minimum: 0, maximum: maxTimeoutMs, default: 60_000 }),
  stallTimeoutMs: Type.Integer({ minimum: 10, maximum: maxTimeoutMs, default: 30_000 })
})

/** Options of {@link MemoryStreamLog}. Bytes are those of the process: texts, and what is kept beside them. Unknown keys are refused. */
export interface MemoryStreamLogOptions {
  /** How many frames of a stream are kept; the oldest leave first, and the newest is always kept. @default 1000 */
  readonly maxEntries?: number
  /** How much of a stream is kept, in bytes. @default 1048576 */
  readonly maxBytes?: number
  /**
   * How much is kept in all, in bytes. Past it streams that have ended are given up, the oldest first; then each stream gives up as much of
   * its own past as it writes, and new ones are refused with MEDIATOR_ERR_LOG_FULL.
   * @default 67108864
   */
  readonly maxTotalBytes?: number
  /** How long a stream is kept after its end, in milliseconds. @default 60000 */
  readonly retainMs?: number
  /** How long a writer that has no room waits for a reader that does not read, in milliseconds, before it trims what that one misses. @default 30000 */
  readonly stallTimeoutMs?: number
}

/** A stream log within one process: bounded, and gone with it. */
export class MemoryStreamLog implements StreamLog {
  readonly #maxTotalBytes: number
  readonly #host: MemoryLogHost
  readonly #logs = new Map<string, MemoryLog>()
  readonly #owners = new Map<string, Set<MemoryLog>>()
  // Those that have ended and nobody reads, the oldest first.
  readonly #spare = new Set<MemoryLog>()
  readonly #sweeper: Sweeper<MemoryLog>
  #opened = 0
  #closed = false

  /** @throws MEDIATOR_ERR_INVALID_OPTIONS */
  constructor (options?: MemoryStreamLogOptions)
  /** @internal */
  constructor (options?: MemoryStreamLogOptions, clock?: Clock)
  constructor (given: MemoryStreamLogOptions = {}, clock: Clock = systemClock) {
    const { maxTotalBytes, retainMs, ...bounds } = parseOptions('MemoryStreamLog', optionsSchema, given)
    this.#maxTotalBytes = maxTotalBytes
    this.#sweeper = new Sweeper(retainMs, log => this.#forget(log), clock)
    this.#host = {
      ...bounds,
      clock,
      heldBytes: 0,
      isFull: () => this.#isFull(),
      logEnded: log => this.#onEnded(log),
      logDiscarded: log => this.#forget(log),
      logRead: log => this.#onRead(log)
    }
  }

  /** About how much memory all streams take, in bytes. */
  get heldBytes (): number {
    return this.#host.heldBytes
  }

  /** How many streams are kept. */
  get size (): number {
    return this.#logs.size
  }

  async open (streamId: string, options: OpenLogOptions): Promise<OpenLogResult> {
    this.#assertOpen()
    const existing = this.#logs.get(streamId)
    if (existing !== undefined) {
      if (existing.owner !== options.owner) return { outcome: 'forbidden' }
      return existing.fingerprint === options.fingerprint ? { outcome: 'exists', info: existing.info } : { outcome: 'mismatch' }
    }
    if (this.#isFull()) throw new LogFullError()
    const log = new MemoryLog(streamId, options, ++this.#opened, this.#host)
    this.#logs.set(streamId, log)
    const ofOwner = this.#owners.get(log.owner)
    if (ofOwner === undefined) this.#owners.set(log.owner, new Set([log]))
    else ofOwner.add(log)
    const writer = options.lease ? log.take() : undefined
    return { outcome: 'created', writer, info: log.info }
  }

  async take (streamId: string): Promise<TakeLogResult> {
    this.#assertOpen()
    const log = this.#logs.get(streamId)
    if (log === undefined) return { outcome: 'gone' }
    if (log.ended) return { outcome: 'closed', info: log.info }
    if (log.writer !== undefined) return { outcome: 'leased' }
    const writer = log.take()
    return { outcome: 'taken', writer, info: log.info }
  }

  async read (streamId: string, { owner, after }: ReadLogOptions = {}): Promise<LogReader> {
    const log = this.#find(streamId, owner)
    if (log === undefined) throw new StreamNotFoundError()
    log.assertFollows(after ?? { seq: 0, attempt: 0 })
    const reader = new MemoryLogReader(log, after?.seq ?? 0)
    log.attach(reader)
    return reader
  }

  async cancel (streamId: string, { owner }: LogAccess = {}): Promise<LogInfo | undefined> {
    const log = this.#find(streamId, owner)
    log?.cancel()
    return log?.info
  }

  async stat (streamId: string, { owner }: LogAccess = {}): Promise<LogInfo | undefined> {
    return this.#find(streamId, owner)?.info
  }

  async list (owner: string, { after, limit }: ListLogsOptions): Promise<LogPage> {
    const before = after === undefined ? Infinity : Number(after)
    const logs = [...this.#owners.get(owner) ?? []].filter(({ number }) => number < before)
    const page = logs.slice(-limit).reverse()
    return { streams: page.map(({ info }) => info), next: logs.length > page.length ? String(page.at(-1)!.number) : undefined }
  }

  async close (): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#sweeper.clear()
    const error = new ShuttingDownError()
    for (const log of this.#logs.values()) {
      log.abandon(error)
      this.#forget(log)
    }
  }

  #assertOpen (): void {
    if (this.#closed) throw new ShuttingDownError()
  }

  #find (streamId: string, owner: string | undefined): MemoryLog | undefined {
    const log = this.#logs.get(streamId)
    return owner === undefined || log?.owner === owner ? log : undefined
  }

  #isFull (): boolean {
    if (this.#host.heldBytes <= this.#maxTotalBytes) return false
    for (const log of this.#spare) {
      this.#sweeper.delete(log)
      this.#forget(log)
      if (this.#host.heldBytes <= this.#maxTotalBytes) return false
    }
    return true
  }

  #onEnded (log: MemoryLog): void {
    this.#sweeper.add(log)
    if (!log.hasReaders) this.#spare.add(log)
  }

  #onRead (log: MemoryLog): void {
    if (log.hasReaders) this.#spare.delete(log)
    else if (this.#logs.get(log.streamId) !== log) log.drop()
    else if (log.ended) this.#spare.add(log)
  }

  // Who reads it still has it, and its memory counts until the last of them has left.
  #forget (log: MemoryLog): void {
    this.#logs.delete(log.streamId)
    this.#spare.delete(log)
    const ofOwner = this.#owners.get(log.owner)!
    ofOwner.delete(log)
    if (ofOwner.size === 0) this.#owners.delete(log.owner)
    if (!log.hasReaders) log.drop()
  }
}
