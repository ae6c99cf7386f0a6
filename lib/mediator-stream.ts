import { Readable } from 'node:stream'
import type { CommandDefinition, ProgressOf, ResultOf } from './definition.js'
import { StreamAbortedError, StreamIteratedError } from './errors.js'
import type { EndReason } from './errors.js'
import type { EventGroup, GroupOptions } from './event-group.js'
import { createStreamId } from './frame-id.js'
import { iteratorOf } from './handler.js'
import type { AnyHandler, HandlerContext } from './handler.js'
import { LazyPromise } from './lazy-promise.js'
import { logThrown } from './logger.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import { StreamIterator } from './stream-iterator.js'
import type { StreamConsumer } from './stream-iterator.js'

/** How long a handler has to end after its signal was aborted, in milliseconds, before it is reported and left to itself. */
export const detachAfterMs = 1_000

// A generator that yields in its `finally` is asked again to return, but not for ever.
const maxReturns = 100

/** How long a handler that never awaits may keep the event loop in one go, in milliseconds. */
export const maxTurnMs = 5

/** How the events of a stream relate to its progress and to each other. */
export interface EventDelivery {
  /**
   * `'overlap'` tells progress at once, while its events run; `'before-progress'` when all that was emitted by then has been
   * handled.
   * @default 'overlap'
   */
  readonly eventDelivery: 'overlap' | 'before-progress'
  /**
   * `'sequential'` runs the event handlers of one stream one after the other, in the order of the emits, and leaves other
   * streams alone.
   * @default 'parallel'
   */
  readonly eventOrder: 'parallel' | 'sequential'
}

/** What a stream needs of its mediator. */
export interface StreamHost {
  readonly maxPendingEvents: number
  /** The mediator as the stream's handler sees it. */
  readonly calls: MediatorCalls
  createGroup (options: Pick<GroupOptions, 'owner' | 'sequential' | 'log' | 'onFailure'>): EventGroup
  /** Called when the handler is about to start; throws when no stream may start any more. */
  streamStarted (stream: MediatorStream<CommandDefinition>): void
  /** Called once, when the stream has ended and its events have settled. */
  streamEnded (stream: MediatorStream<CommandDefinition>): void
}

/** Options of `mediator.stream` and `mediator.send`. */
export interface StreamOptions {
  /** Ends the stream with reason `cancelled` when it aborts. */
  readonly signal?: AbortSignal | undefined
  /** The parent of the stream's logger. @default the mediator's */
  readonly log?: Logger | undefined
  /** Told to a query's handler as `context.resumeAfter`. */
  readonly resumeAfter?: number | undefined
}

/** One run of a handler, before anything has started. */
export interface StreamCall extends Omit<StreamOptions, 'log'> {
  readonly definition: CommandDefinition
  readonly handler: AnyHandler
  readonly input: unknown
  readonly log: Logger
  readonly host: StreamHost
  readonly delivery: EventDelivery
}

type Outcome = { readonly ok: true, readonly result: unknown } | { readonly ok: false, readonly error: unknown }

/**
 * A command that runs: an async iterable of its progress, to be read once. Nothing starts before the first read.
 * Leaving the loop ends the handler.
 */
export class MediatorStream<D extends CommandDefinition> implements AsyncIterable<ProgressOf<D>> {
  readonly streamId = createStreamId()
  readonly definition: D
  readonly #call: StreamCall
  readonly #group: EventGroup
  #log: Logger | undefined
  #controller: AbortController | undefined
  #consumer: StreamConsumer | undefined
  #iterator: AsyncIterator<unknown, unknown> | undefined
  #started = false
  #handlerDone = false
  #onHandlerDone: (() => void) | undefined
  #stopping: Promise<void> | undefined
  #abortError: StreamAbortedError | undefined
  #endReason: EndReason | undefined
  #outcome: Outcome | undefined
  #result: LazyPromise<ResultOf<D>> | undefined
  #settleResult: ((outcome: Outcome) => void) | undefined

  /** @internal */
  constructor (call: StreamCall) {
    // The mediator's `stream<D>` makes the call from a definition of this type.
    this.definition = call.definition as D
    this.#call = call
    this.#group = call.host.createGroup({
      owner: call.definition.name,
      sequential: call.delivery.eventOrder === 'sequential',
      log: () => this.#logger,
      onFailure: error => this.#failByEvent(error)
    })
  }

  /**
   * What the handler returned, once all of its events have settled. Awaiting it without iterating runs the stream and drops
   * its progress. Rejects with what the handler threw, MEDIATOR_ERR_STREAM_ABORTED or MEDIATOR_ERR_EVENT_HANDLER_FAILED; a
   * rejection that nobody reads is no unhandled one.
   */
  get result (): Promise<ResultOf<D>> {
    if (this.#result === undefined) {
      const promise = new Promise<ResultOf<D>>((resolve, reject) => {
        this.#settleResult = outcome => { outcome.ok ? resolve(outcome.result as ResultOf<D>) : reject(outcome.error) }
      })
      promise.catch(() => {})
      if (this.#outcome !== undefined) this.#settleResult?.(this.#outcome)
      // Deferred by a microtask, so that a loop which begins right after `result.catch(…)` still is the reader.
      this.#result = new LazyPromise(promise, () => queueMicrotask(() => this.#drain()))
    }
    return this.#result
  }

  /** Why the stream ended; undefined while it runs. */
  get endReason (): EndReason | undefined {
    return this.#endReason
  }

  /**
   * Ends the stream: the handler's signal aborts, its generator is returned, iteration and `result` reject with
   * MEDIATOR_ERR_STREAM_ABORTED, whose `cause` is the given reason. What was emitted is still handled. Does nothing after the end.
   */
  abort (reason?: unknown): void {
    this.end('cancelled', reason)
  }

  [Symbol.asyncIterator] (): AsyncIterator<ProgressOf<D>, undefined> {
    return new StreamIterator<D>(this)
  }

  /** @internal What the stream was aborted with; undefined while it runs and after any other end. */
  get abortError (): StreamAbortedError | undefined {
    return this.#abortError
  }

  /** @internal Makes the one consumer known. Nothing starts before the first pull. */
  consume (consumer: StreamConsumer): void {
    if (this.#consumer !== undefined) throw new StreamIteratedError(this.definition.name)
    this.#consumer = consumer
    if (this.#abortError !== undefined) consumer.onError(this.#abortError)
  }

  /** @internal Asks for the next progress. At most one pull is in flight. */
  pull (): void {
    if (this.#endReason !== undefined) return
    if (!this.#started) {
      this.#start()
    } else if (this.#group.pending >= this.#call.host.maxPendingEvents) {
      void this.#group.below(this.#call.host.maxPendingEvents).then(this.#step)
    } else {
      this.#step()
    }
  }

  /** @internal Aborts with a typed reason. */
  end (reason: EndReason, cause?: unknown): void {
    if (this.#endReason !== undefined) return
    this.#endReason = reason
    const error = this.#abort(reason, cause)
    if (this.#started) {
      this.#stopping = this.#stop()
      void this.#stopping.then(() => this.#settle({ ok: false, error }))
    } else {
      this.#publish({ ok: false, error })
    }
    this.#consumer?.onError(error)
  }

  /** @internal Resolves when the handler has ended or was let go, and waits for its finally blocks. */
  async #stop (): Promise<void> {
    if (this.#handlerDone) return
    const startedAt = performance.now()
    this.#return(maxReturns)
    if (this.#handlerDone) return
    await new Promise<void>(resolve => {
      // Not unref'ed: somebody waits for the end, and it is near.
      const timer = setTimeout(() => {
        // What it emitted in the step that it does not leave are facts, too.
        this.#group.flush()
        this.#logger.warn({ reason: this.#endReason, ageMs: Math.round(performance.now() - startedAt) },
          'handler goes on although its stream has ended: make it listen to its signal')
        resolve()
      }, detachAfterMs)
      this.#onHandlerDone = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** @internal Resolves when a handler whose stream has ended has run its finally blocks, or was let go. */
  async stopped (): Promise<void> {
    await this.#stopping
  }

  #start (): void {
    const { handler, input, signal, host } = this.#call
    this.#started = true
    try {
      signal?.throwIfAborted()
      host.streamStarted(this)
    } catch (error) {
      this.#started = false
      if (signal?.aborted) this.end('cancelled', error)
      else this.#fail(error)
      return
    }
    signal?.addEventListener('abort', this.#onSignal, { once: true })
    try {
      const returned = handler(input, this.#context())
      this.#iterator = iteratorOf(returned)
      if (this.#iterator !== undefined) this.#begin(returned)
      else Promise.resolve(returned).then(this.#onValue, this.#onThrow)
    } catch (error) {
      this.#onThrow(error)
    }
  }

  // A plain value is the result; a promise may still bring something that streams, such as an upstream's body.
  readonly #onValue = (value: unknown): void => {
    try {
      this.#iterator = iteratorOf(value)
    } catch (error) {
      this.#onThrow(error)
      return
    }
    if (this.#iterator === undefined) this.#onReturn(value)
    else this.#begin(value)
  }

  #begin (upstream: unknown): void {
    if (this.#endReason === undefined) {
      this.#step()
      return
    }
    this.#return(maxReturns)
    // A Readable's iterator is a generator: returned before its first step, it leaves its stream open.
    if (upstream instanceof Readable) upstream.on('error', () => {}).destroy()
  }

  readonly #step = (): void => {
    if (this.#endReason !== undefined) return
    try {
      Promise.resolve(this.#iterator!.next()).then(this.#onStep, this.#onThrow)
    } catch (error) {
      this.#onThrow(error)
    }
  }

  readonly #onStep = (step: IteratorResult<unknown, unknown>): void => {
    // A hand-written iterator can give anything, which `for await` refuses as well.
    if (step === null || typeof step !== 'object') {
      this.#onThrow(new TypeError(`The iterator of command "${this.definition.name}" gave ${String(step)} where { done, value } is expected`))
      return
    }
    let done, value
    try {
      ({ done, value } = step)
    } catch (error) {
      this.#onThrow(error)
      return
    }
    if (done) {
      this.#onReturn(value)
      return
    }
    this.#group.flush()
    if (this.#group.pending > 0 && this.#call.delivery.eventDelivery === 'before-progress') {
      void this.#group.below(1).then(() => this.#tell(value))
    } else {
      this.#tell(value)
    }
  }

  #tell (value: unknown): void {
    if (this.#endReason === undefined) this.#consumer!.onProgress(value)
  }

  #onReturn (value: unknown): void {
    this.#handlerEnded()
    if (this.#endReason !== undefined) return
    const result = value === undefined ? null : value
    if (this.#group.pending === 0) this.#complete(result)
    else void this.#group.below(1).then(() => this.#complete(result))
  }

  #complete (result: unknown): void {
    if (this.#endReason !== undefined) return
    const { failure } = this.#group
    if (failure !== undefined) {
      this.#fail(failure)
      return
    }
    this.#endReason = 'completed'
    this.#publish({ ok: true, result })
    this.#consumer!.onComplete(result)
  }

  readonly #onThrow = (error: unknown): void => {
    this.#handlerEnded()
    if (this.#endReason === undefined) this.#fail(error)
    else if (!this.#isAbort(error)) logThrown(this.#logger, 'warn', error, {}, 'handler failed after its stream had ended')
  }

  #fail (error: unknown): void {
    this.#endReason = 'failed'
    void this.#settle({ ok: false, error })
    this.#consumer!.onError(error)
  }

  // The first failure ends the handler; what was emitted by then is still handled, and only then is the consumer told.
  #failByEvent (cause: unknown): void {
    if (this.#endReason !== undefined || this.#handlerDone) return
    this.#endReason = 'failed'
    this.#abort('failed', cause)
    this.#stopping = this.#stop()
    void this.#stopping
      .then(() => this.#group.below(1))
      .then(() => {
        const error = this.#group.failure
        this.#publish({ ok: false, error })
        this.#consumer!.onError(error)
      })
  }

  #abort (reason: EndReason, cause: unknown): StreamAbortedError {
    this.#abortError = new StreamAbortedError(this.definition.name, reason, cause)
    this.#controller?.abort(this.#abortError)
    return this.#abortError
  }

  async #settle (outcome: Outcome): Promise<void> {
    await this.#group.below(1)
    this.#publish(outcome)
  }

  #publish (outcome: Outcome): void {
    const { host, signal } = this.#call
    this.#outcome = outcome
    this.#settleResult?.(outcome)
    signal?.removeEventListener('abort', this.#onSignal)
    if (this.#started) host.streamEnded(this)
  }

  #handlerEnded (): void {
    this.#handlerDone = true
    this.#group.seal()
    this.#onHandlerDone?.()
  }

  // `return` queues behind a pending `next`: a generator that is blocked ends when its await does.
  #return (attempts: number): void {
    if (this.#iterator === undefined || this.#handlerDone || attempts === 0) return
    let returned
    try {
      returned = this.#iterator.return?.()
    } catch (error) {
      this.#onThrow(error)
      return
    }
    Promise.resolve(returned).then(step => {
      if (this.#handlerDone) return
      if (step?.done !== false) this.#handlerEnded()
      else this.#return(attempts - 1)
    }, this.#onThrow)
  }

  // Runs the stream for its result alone.
  #drain (): void {
    if (this.#consumer !== undefined) return
    let turnStartedAt = performance.now()
    const next = (): void => {
      if (performance.now() - turnStartedAt < maxTurnMs) {
        this.pull()
        return
      }
      setImmediate(() => {
        turnStartedAt = performance.now()
        this.pull()
      })
    }
    this.consume({ onProgress: next, onComplete () {}, onError () {} })
    this.pull()
  }

  #isAbort (error: unknown): boolean {
    if (error === this.#abortError) return true
    try {
      return error instanceof Error && (error.name === 'AbortError' || error.cause === this.#abortError)
    } catch {
      // A getter or a proxy that throws.
      return false
    }
  }

  readonly #onSignal = (): void => {
    this.end('cancelled', this.#call.signal!.reason)
  }

  get #signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortError !== undefined) this.#controller.abort(this.#abortError)
    }
    return this.#controller.signal
  }

  get #logger (): Logger {
    this.#log ??= this.#call.log.child({ streamId: this.streamId, command: this.definition.name })
    return this.#log
  }

  #context (): HandlerContext {
    // Getters, because most handlers use neither: a signal and a child logger cost more than the rest of a short stream.
    const signal = (): AbortSignal => this.#signal
    const log = (): Logger => this.#logger
    return {
      emit: this.#group.emit,
      streamId: this.streamId,
      resumeAfter: this.#call.resumeAfter,
      mediator: this.#call.host.calls,
      get signal () { return signal() },
      get log () { return log() }
    }
  }
}
