import { LogFencedError } from './errors.js'
import type { MemoryLog } from './memory-log.js'
import type { LogEnd, LogWriter } from './stream-log.js'

/** One attempt of a stream in memory. It writes for as long as it is its log's writer. */
export class MemoryLogWriter implements LogWriter {
  readonly attempt: number
  /** Called when `hasReaders` has changed. */
  listener: ((hasReaders: boolean) => void) | undefined
  readonly #log: MemoryLog
  #abortError: Error | undefined
  #controller: AbortController | undefined

  constructor (log: MemoryLog, attempt: number) {
    this.#log = log
    this.attempt = attempt
  }

  get signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortError !== undefined) this.#controller.abort(this.#abortError)
    }
    return this.#controller.signal
  }

  get hasReaders (): boolean {
    return this.#log.hasReaders
  }

  onReaders (listener: (hasReaders: boolean) => void): void {
    this.listener = listener
  }

  append (event: string, data: string): boolean | Promise<boolean> {
    return this.#log.writer === this && this.#log.append(event, data)
  }

  async end (state: LogEnd, data: string): Promise<boolean> {
    if (this.#log.writer !== this) return false
    this.#log.end(state, data)
    return true
  }

  async release (): Promise<void> {
    if (this.#log.writer !== this) return
    this.#log.release()
    this.abort(new LogFencedError())
  }

  async discard (): Promise<void> {
    if (this.#log.writer === this) this.#log.discard()
  }

  abort (error: Error): void {
    this.#abortError ??= error
    this.#controller?.abort(error)
  }
}
