import type { CommandDefinition } from './definition.js'
import { FrameTooLargeError } from './errors.js'
import type { EndReason } from './errors.js'
import { FrameDataWriter } from './frame-data.js'
import type { FrameData, StartData } from './frame-data.js'
import { logThrown } from './logger.js'
import type { MediatorStream } from './mediator-stream.js'
import { shortProblem } from './problem.js'
import type { Problem } from './problem.js'
import { failureOf } from './stream-failure.js'
import type { StreamConsumer, Written } from './stream-iterator.js'
import type { LogWriter } from './stream-log.js'
import { inTurns } from './turns.js'

export interface LoggedRunOptions {
  readonly stream: MediatorStream<CommandDefinition>
  readonly writer: LogWriter
  readonly start: StartData
  /** The longest frame as a server-sent event, in bytes. */
  readonly maxFrameBytes: number
  /** How long the stream runs on without a reader, in milliseconds; undefined for to its end. */
  readonly graceMs: number | undefined
}

// Of `event: `, `id: `, `data: ` and their line breaks, and of an id's own longest.
const frameOverhead = 73

const reasons: Readonly<Record<string, EndReason>> = { MEDIATOR_ERR_CANCELLED: 'cancelled', MEDIATOR_ERR_SHUTTING_DOWN: 'shutdown' }

/**
 * Runs a stream into its log: it pulls for as long as the log takes what comes, whoever reads it or not. The stream ends when its
 * handler does, when it is cancelled, or when nobody has read it for its grace.
 */
export class LoggedRun implements StreamConsumer {
  readonly #stream: MediatorStream<CommandDefinition>
  readonly #writer: LogWriter
  readonly #data: FrameDataWriter
  readonly #maxFrameBytes: number
  readonly #graceMs: number | undefined
  readonly #startFrame: FrameData
  readonly #next = inTurns(() => this.#stream.pull())
  #graceTimer: NodeJS.Timeout | undefined
  #startWritten = false
  #refusal: { readonly error: unknown } | undefined
  #failure: { readonly error: unknown } | undefined
  #frames = 0
  #bytes = 0
  #closed = false

  constructor ({ stream, writer, start, maxFrameBytes, graceMs }: LoggedRunOptions) {
    this.#stream = stream
    this.#writer = writer
    this.#data = new FrameDataWriter(stream.definition)
    this.#maxFrameBytes = maxFrameBytes
    this.#graceMs = graceMs
    // Here, because nothing has started yet that a start which is too long would have to end.
    this.#startFrame = this.#checked(this.#data.start(start))
  }

  /** What the stream has failed with; undefined while it has not. */
  get failure (): { readonly error: unknown } | undefined {
    return this.#failure
  }

  /** What has gone into the log. */
  get written (): Written {
    return { frames: this.#frames, bytes: this.#bytes, closed: this.#closed, failure: this.#failure }
  }

  /** Starts the handler. Throws what refuses the stream before that; then nothing was written. */
  start (): void {
    this.#stream.consume(this)
    this.#stream.pull()
    if (this.#refusal !== undefined) throw this.#refusal.error
    this.#writeStart()
    const { signal } = this.#writer
    const onAbort = (): void => this.#stream.end(reasons[(signal.reason as { code: string }).code] ?? 'lost')
    // It may have been cancelled before it could begin.
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    if (this.#graceMs === undefined) return
    this.#writer.onReaders(hasReaders => this.#onReaders(hasReaders))
    this.#onReaders(this.#writer.hasReaders)
  }

  onProgress (value: unknown): void {
    let goOn: boolean | Promise<boolean>
    try {
      const frame = this.#data.progress(value)
      goOn = frame === undefined || this.#append(this.#checked(frame))
    } catch (error) {
      this.#stream.end('failed', error)
      return
    }
    // A refusal comes with the signal's abort.
    if (goOn === true) this.#next()
    else if (goOn !== false) goOn.then(taken => { if (taken) this.#stream.pull() }, this.#onStoreError)
  }

  onComplete (result: unknown): void {
    try {
      this.#end('completed', this.#checked(this.#data.complete(result)))
      this.#stream.log.debug({ reason: 'completed' }, 'stream ended')
    } catch (error) {
      this.onError(error)
    }
  }

  onError (thrown: unknown): void {
    if (!this.#stream.started) {
      this.#refusal = { error: thrown }
      return
    }
    const { error, problem, reason, level, afterEvents } = failureOf(this.#stream, thrown)
    this.#failure = { error }
    logThrown(this.#stream.log, level, error, { reason }, 'stream ended')
    const finish = (): void => this.#end(reason === 'cancelled' ? 'cancelled' : 'failed', this.#failed(problem))
    if (afterEvents) this.#stream.result.then(finish, finish)
    else finish()
  }

  // Before anything else, and not before the handler has started.
  #writeStart (): void {
    if (this.#startWritten) return
    this.#startWritten = true
    // Also what a store throws at once. That there is no room is for the first progress to know.
    const append = async (): Promise<unknown> => await this.#append(this.#startFrame)
    append().catch(this.#onStoreError)
  }

  readonly #onStoreError = (error: unknown): void => this.#stream.end('failed', error)

  #append ({ event, data }: FrameData): boolean | Promise<boolean> {
    this.#count(data)
    return this.#writer.append(event, data)
  }

  #end (state: 'completed' | 'failed' | 'cancelled', { data }: FrameData): void {
    this.#writeStart()
    this.#count(data)
    this.#closed = true
    clearTimeout(this.#graceTimer)
    // What is not taken has lost against another end.
    this.#writer.end(state, data).catch((error: unknown) => logThrown(this.#stream.log, 'error', error, {}, 'the end of the stream was not stored'))
    this.#stream.replyClosed()
  }

  #count (data: string): void {
    this.#frames++
    this.#bytes += Buffer.byteLength(data)
  }

  #checked (frame: FrameData): FrameData {
    const { event, data } = frame
    const max = this.#maxFrameBytes - frameOverhead - event.length
    if (data.length * 3 > max && Buffer.byteLength(data) > max) throw new FrameTooLargeError(this.#stream.definition.name, event, this.#maxFrameBytes)
    return frame
  }

  #failed (problem: Problem): FrameData {
    try {
      return this.#checked(this.#data.failed(problem))
    } catch {
      return this.#data.failed(shortProblem(problem))
    }
  }

  #onReaders (hasReaders: boolean): void {
    clearTimeout(this.#graceTimer)
    if (hasReaders || this.#closed) return
    this.#graceTimer = setTimeout(() => this.#stream.end('abandoned'), this.#graceMs).unref()
  }
}
