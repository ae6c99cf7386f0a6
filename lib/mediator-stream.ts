import type { StreamSettings } from './call-options.js'
import type { Caller } from './caller.js'
import type { CommandDefinition, ProgressOf, ResultOf } from './definition.js'
import { StreamAbortedError, StreamIteratedError } from './errors.js'
import type { EndReason } from './errors.js'
import type { Emit } from './event.js'
import type { EventGroup, GroupOptions } from './event-group.js'
import { createStreamId } from './frame-id.js'
import type { AnyHandler } from './handler.js'
import { HandlerRun } from './handler-run.js'
import { LazyPromise } from './lazy-promise.js'
import { logThrown } from './logger.js'
import type { Logger } from './logger.js'
import { maxTimeoutMs } from './max-timeout.js'
import type { MediatorCalls } from './mediator-calls.js'
import type { Scope, StreamScope } from './scope.js'
import type { StreamEnd } from './stream-end.js'
import { StreamContext } from './stream-context.js'
import { StreamIterator } from './stream-iterator.js'
import type { StreamConsumer, Written } from './stream-iterator.js'
import { inTurns } from './turns.js'

/** What a stream needs of its mediator. */
export interface StreamHost {
  readonly maxPendingEvents: number
  /** The mediator as the stream's handler sees it. */
  callsOf (stream: MediatorStream<CommandDefinition>): MediatorCalls
  createGroup (options: Pick<GroupOptions, 'owner' | 'sequential' | 'log' | 'onFailure' | 'caller' | 'scope' | 'streamId'>): EventGroup
  /** Called when the handler is about to start; throws when no stream may start any more. */
  streamStarted (stream: MediatorStream<CommandDefinition>): void
  /** Called once, when the stream has ended and its events have settled. */
  streamSettled (stream: MediatorStream<CommandDefinition>): void
  /** Called once, when the stream has settled and its reply, if it has one, is closed. */
  streamEnded (end: StreamEnd): void
  /** The handler goes on without its stream. */
  handlerDetached (): void
  /** A detached handler has ended after all. */
  detachedHandlerEnded (): void
}

/** One call of a handler, before anything has started. */
export interface HandlerCall {
  readonly definition: CommandDefinition
  readonly handler: AnyHandler
  readonly input: unknown
  readonly signal: AbortSignal | undefined
  readonly resumeAfter: number | undefined
  readonly owner: string | undefined
  readonly streamId: string | undefined
  readonly caller: Caller | undefined
  readonly scope: StreamScope
  readonly log: Logger
  readonly host: StreamHost
  readonly settings: StreamSettings
}

// In place of a consumer that has been told all there is, because a handler that was let go holds its stream: not its client as well.
const ignore = (): void => {}
const nobody: StreamConsumer = { onProgress: ignore, onComplete: ignore, onError: ignore }

type Outcome = { readonly ok: true, readonly result: unknown } | { readonly ok: false, readonly error: unknown }

/**
 * A command that runs: an async iterable of its progress, to be read once. Nothing starts before the first read.
 * Leaving the loop ends the handler.
 */
export class MediatorStream<D extends CommandDefinition> implements AsyncIterable<ProgressOf<D>> {
  readonly streamId: string
  readonly definition: D
  readonly #call: HandlerCall
  // Made when the handler first asks for `emit`: many never do.
  #group: EventGroup | undefined
  #log: Logger | undefined
  #controller: AbortController | undefined
  #consumer: StreamConsumer | undefined
  #run: HandlerRun | undefined
  #stopping: Promise<void> | undefined
  #abortError: StreamAbortedError | undefined
  #endReason: EndReason | undefined
  #outcome: Outcome | undefined
  #result: LazyPromise<ResultOf<D>> | undefined
  #settleResult: ((outcome: Outcome) => void) | undefined
  #onSignal: (() => void) | undefined
  #startedAt = 0
  #deadline: NodeJS.Timeout | undefined
  #detached = false

  /** @internal */
  constructor (call: HandlerCall) {
    // The mediator's `stream<D>` makes the call from a definition of this type.
    this.definition = call.definition as D
    this.streamId = call.streamId ?? createStreamId()
    this.#call = call
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
      this.#result = new LazyPromise(promise, () => queueMicrotask(() => { if (this.#consumer === undefined) this.drain() }))
    }
    return this.#result
  }

  /** @internal Carries the stream's id and its command's name. */
  get log (): Logger {
    this.#log ??= this.#call.log.child({ streamId: this.streamId, command: this.definition.name })
    return this.#log
  }

  /** @internal What the calls of the stream's handler inherit. */
  get inheritance (): Pick<HandlerCall, 'caller' | 'scope' | 'log'> {
    const { caller, scope, log } = this.#call
    return { caller, scope, log }
  }

  /** @internal */
  get owner (): string | undefined {
    return this.#call.owner
  }

  /** @internal Whether its handler was called: a stream may be refused before that. */
  get started (): boolean {
    return this.#run !== undefined
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
    if (this.#run === undefined) {
      this.#start()
    } else if (this.#pending >= this.#call.host.maxPendingEvents) {
      void this.#group!.below(this.#call.host.maxPendingEvents).then(() => this.#step())
    } else {
      this.#step()
    }
  }

  /** @internal Aborts with a typed reason. */
  end (reason: EndReason, cause?: unknown): void {
    if (this.#endReason !== undefined) return
    this.#endReason = reason
    const error = this.#abort(reason, cause)
    if (this.#run !== undefined) {
      this.#stopping = this.#stop(this.#run)
      void this.#stopping.then(() => this.#settle({ ok: false, error }))
    } else {
      this.#publish({ ok: false, error })
    }
    this.#consumer?.onError(error)
  }

  /** @internal Resolves when a handler whose stream has ended has run its finally blocks, or was let go. */
  async stopped (): Promise<void> {
    await this.#stopping
  }

  #start (): void {
    const { handler, input, signal, scope, host, settings, resumeAfter, caller } = this.#call
    try {
      signal?.throwIfAborted()
      host.streamStarted(this)
    } catch (error) {
      if (signal?.aborted) this.end('cancelled', error)
      else this.#fail(error)
      return
    }
    scope.enter()
    if (signal !== undefined) {
      this.#onSignal = () => this.end('cancelled', signal.reason)
      signal.addEventListener('abort', this.#onSignal, { once: true })
    }
    this.#startedAt = performance.now()
    if (settings.maxStreamMs <= maxTimeoutMs) this.#deadline = setTimeout(() => this.end('deadline'), settings.maxStreamMs).unref()
    this.#run = new HandlerRun(this.definition.name, this)
    this.#run.start(handler, input, new StreamContext({ streamId: this.streamId, resumeAfter, caller }, this))
  }

  #step (): void {
    if (this.#endReason === undefined) this.#run!.step()
  }

  /** @internal */
  onYield (value: unknown): void {
    this.#group?.flush()
    if (this.#pending > 0 && this.#call.settings.eventDelivery === 'before-progress') {
      void this.#eventsSettled().then(() => this.#tell(value))
    } else {
      this.#tell(value)
    }
  }

  #tell (value: unknown): void {
    if (this.#endReason === undefined) this.#consumer!.onProgress(value)
  }

  /** @internal */
  onEnd (): void {
    this.#group?.seal()
    if (this.#detached) this.#call.host.detachedHandlerEnded()
  }

  /** @internal */
  onReturn (value: unknown): void {
    if (this.#endReason !== undefined) return
    const result = value === undefined ? null : value
    if (this.#pending === 0) this.#complete(result)
    else void this.#eventsSettled().then(() => this.#complete(result))
  }

  #complete (result: unknown): void {
    if (this.#endReason !== undefined) return
    const failure = this.#group?.failure
    if (failure !== undefined) {
      this.#fail(failure)
      return
    }
    this.#endReason = 'completed'
    const consumer = this.#consumer!
    this.#publish({ ok: true, result })
    consumer.onComplete(result)
  }

  /** @internal */
  onThrow (error: unknown): void {
    if (this.#endReason === undefined) this.#fail(error)
    else if (!this.#isAbort(error)) logThrown(this.log, 'warn', error, {}, 'handler failed after its stream had ended')
  }

  #fail (error: unknown): void {
    this.#endReason = 'failed'
    void this.#settle({ ok: false, error })
    this.#consumer!.onError(error)
  }

  // The first failure ends the handler; what was emitted by then is still handled, and only then is the consumer told.
  #failByEvent (cause: unknown): void {
    if (this.#endReason !== undefined || this.#run!.ended) return
    this.#endReason = 'failed'
    this.#abort('failed', cause)
    this.#stopping = this.#stop(this.#run!)
    void this.#stopping
      .then(() => this.#eventsSettled())
      .then(() => {
        const error = this.#group!.failure
        const consumer = this.#consumer!
        this.#publish({ ok: false, error })
        consumer.onError(error)
      })
  }

  #abort (reason: EndReason, cause: unknown): StreamAbortedError {
    this.#abortError = new StreamAbortedError(this.definition.name, reason, cause)
    this.#controller?.abort(this.#abortError)
    return this.#abortError
  }

  async #stop (run: HandlerRun): Promise<void> {
    if (await run.stop()) return
    this.#detached = true
    this.#call.host.handlerDetached()
    // Until it is read, V8 keeps what a stack's functions were called on: the socket that was closed.
    void this.#abortError?.stack
    // What it emitted in the step that it does not leave are facts, too.
    this.#group?.flush()
    this.log.warn({ reason: this.#endReason, ageMs: Math.round(performance.now() - this.#startedAt) },
      'handler goes on although its stream has ended: make it listen to its signal')
  }

  #eventsSettled (): Promise<void> {
    return this.#group?.below(1) ?? Promise.resolve()
  }

  async #settle (outcome: Outcome): Promise<void> {
    await this.#eventsSettled()
    this.#publish(outcome)
  }

  #publish (outcome: Outcome): void {
    const { host, scope, signal } = this.#call
    this.#outcome = outcome
    this.#settleResult?.(outcome)
    if (this.#onSignal !== undefined) signal!.removeEventListener('abort', this.#onSignal)
    clearTimeout(this.#deadline)
    if (this.#run === undefined) return
    scope.leave(() => this.#call.log)
    host.streamSettled(this)
    this.replyClosed()
  }

  /** @internal Told by a consumer that writes to a client, when it is done. The stream is over when it has settled as well. */
  replyClosed (): void {
    if (this.#run === undefined || this.#outcome === undefined || this.#consumer === nobody) return
    const { written } = this.#consumer!
    if (written?.closed === false) return
    const failure = this.#outcome.ok ? written?.failure : this.#outcome
    // A value that could not be written has aborted the handler: the failure is the value's.
    const error = this.#endReason === 'failed' && failure?.error === this.#abortError ? this.#abortError?.cause : failure?.error
    this.#call.host.streamEnded({
      streamId: this.streamId,
      command: this.definition.name,
      owner: this.#call.owner,
      reason: this.#outcome.ok && failure !== undefined ? 'failed' : this.#endReason!,
      durationMs: performance.now() - this.#startedAt,
      events: this.#group?.dispatched ?? 0,
      frames: written?.frames ?? 0,
      bytes: written?.bytes ?? 0,
      error
    })
    this.#consumer = nobody
  }

  /** @internal Runs the stream for its result alone; `written` says what becomes of that. */
  drain (written?: Written): void {
    this.consume({ ...nobody, onProgress: inTurns(() => this.pull()), written })
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

  /** @internal The handler's `emit`. */
  get emit (): Emit {
    if (this.#group === undefined) {
      const { definition, settings, caller, scope, host } = this.#call
      this.#group = host.createGroup({
        owner: definition.name,
        sequential: settings.eventOrder === 'sequential',
        log: () => this.log,
        caller,
        scope,
        streamId: this.streamId,
        onFailure: error => this.#failByEvent(error)
      })
      if (this.#run!.ended) this.#group.seal()
    }
    return this.#group.emit
  }

  get #pending (): number {
    return this.#group?.pending ?? 0
  }

  /** @internal */
  get scope (): Scope {
    return this.#call.scope.scope
  }

  /** @internal The mediator as the stream's handler sees it. */
  get mediator (): MediatorCalls {
    return this.#call.host.callsOf(this)
  }

  /** @internal Made when the handler first asks for it. */
  get signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortError !== undefined) this.#controller.abort(this.#abortError)
    }
    return this.#controller.signal
  }
}
