import PQueue from 'p-queue'
import { EmitAfterEndError, EventHandlerFailedError, TooManyEventsError } from './errors.js'
import { assertEvent } from './event.js'
import type { Emit, EmittedEvent, EventDefinition, EventHandler } from './event.js'
import { logThrown } from './logger.js'
import type { Logger } from './logger.js'

/** How many events one step of a handler may emit. */
export const maxEventsPerStep = 10_000

/** Runs event handlers for all streams of a mediator, in the order in which their events were emitted, at most `concurrency` at once. */
export class EventDispatcher {
  readonly #handlers = new Map<string, EventHandler[]>()
  readonly #queue: PQueue
  readonly #abort = new AbortController()
  readonly #running = new Set<{ readonly scope: EventScope }>()
  #dropped = 0

  constructor (concurrency: number) {
    this.#queue = new PQueue({ concurrency })
  }

  addHandler (definition: EventDefinition, handler: EventHandler): void {
    const handlers = this.#handlers.get(definition.name)
    if (handlers === undefined) this.#handlers.set(definition.name, [handler])
    else handlers.push(handler)
  }

  dispatch (event: EmittedEvent, scope: EventScope): void {
    for (const handler of this.#handlers.get(event.name) ?? []) {
      scope.started()
      // The run never rejects, and a scope counts for itself: nobody waits for the queue's promise.
      void this.#queue.add(() => this.#run(handler, event, scope))
    }
  }

  /** Resolves when no event handler runs or waits. */
  async idle (): Promise<void> {
    await this.#queue.onIdle()
  }

  /** Aborts the signal of the event handlers that run; those that wait will not start. */
  abort (reason: Error): void {
    this.#abort.abort(reason)
    // Handlers that ignore their signal keep their permits; what waits behind them is dropped all the same.
    this.#queue.concurrency = Infinity
  }

  /**
   * After `abort`: counts the handlers that still run as failed, so that nobody waits for them.
   * @returns how many there were, and how many were dropped because they could not start.
   */
  release (): { running: number, dropped: number } {
    const running = this.#running.size
    for (const run of this.#running) run.scope.failed(this.#abort.signal.reason)
    this.#running.clear()
    return { running, dropped: this.#dropped }
  }

  async #run (handler: EventHandler, event: EmittedEvent, scope: EventScope): Promise<void> {
    const { signal } = this.#abort
    if (signal.aborted) {
      this.#dropped++
      scope.failed(signal.reason)
      return
    }
    const run = { scope }
    this.#running.add(run)
    try {
      // A getter, because a child logger costs more than most event handlers.
      await handler(event, { signal, get log () { return scope.log.child({ event: event.name }) } })
      if (this.#running.delete(run)) scope.handled()
    } catch (error) {
      logThrown(scope.log, 'error', error, { event: event.name }, 'event handler failed')
      if (this.#running.delete(run)) scope.failed(error)
    }
  }
}

/** The events of one stream or one publish: what was emitted and not yet dispatched, how much is pending, what failed. */
export class EventScope {
  /** How many runs of event handlers have not settled. */
  pending = 0
  readonly #owner: string
  readonly #dispatcher: EventDispatcher
  readonly #log: () => Logger
  readonly #onFailure: ((error: unknown) => void) | undefined
  readonly #failures: unknown[] = []
  #emitted: EmittedEvent[] = []
  #sealed = false
  #waiters: Array<{ readonly limit: number, readonly resolve: () => void }> = []

  constructor (owner: string, dispatcher: EventDispatcher, log: () => Logger, onFailure?: (error: unknown) => void) {
    this.#owner = owner
    this.#dispatcher = dispatcher
    this.#log = log
    this.#onFailure = onFailure
  }

  get log (): Logger {
    return this.#log()
  }

  /** What went wrong in event handlers, as one error, or undefined. */
  get failure (): Error | undefined {
    if (this.#failures.length === 0) return undefined
    const cause = this.#failures.length === 1
      ? this.#failures[0]
      : new AggregateError(this.#failures, `${this.#failures.length} event handlers failed`)
    return new EventHandlerFailedError(this.#owner, { cause })
  }

  readonly emit: Emit = (definition, payload) => {
    assertEvent(definition)
    if (this.#sealed) throw new EmitAfterEndError(definition.name)
    if (this.#emitted.length >= maxEventsPerStep) throw new TooManyEventsError(maxEventsPerStep)
    this.#emitted.push({ name: definition.name, payload })
  }

  /** Dispatches what was emitted since the last flush, in order. */
  flush (): void {
    if (this.#emitted.length === 0) return
    const events = this.#emitted
    this.#emitted = []
    for (const event of events) this.#dispatcher.dispatch(event, this)
  }

  /** Flushes and refuses further events: the emitting handler has ended. */
  seal (): void {
    this.flush()
    this.#sealed = true
  }

  /** Resolves when fewer than `limit` runs are pending; `below(1)` when all have settled. */
  below (limit: number): Promise<void> {
    if (this.pending < limit) return Promise.resolve()
    return new Promise(resolve => { this.#waiters.push({ limit, resolve }) })
  }

  started (): void {
    this.pending++
  }

  handled (): void {
    this.pending--
    if (this.#waiters.length > 0) this.#wake()
  }

  failed (error: unknown): void {
    this.#failures.push(error)
    this.#onFailure?.(error)
    this.handled()
  }

  #wake (): void {
    const ready = this.#waiters.filter(({ limit }) => this.pending < limit)
    this.#waiters = this.#waiters.filter(({ limit }) => this.pending >= limit)
    for (const { resolve } of ready) resolve()
  }
}
