import type { Caller } from './caller.js'
import { EmitAfterEndError, EventDepthError, EventHandlerFailedError, TooManyEventsError } from './errors.js'
import { assertEvent } from './event.js'
import type { Emit, EmittedEvent } from './event.js'
import type { EventDispatcher, EventLane } from './event-dispatcher.js'
import type { Logger } from './logger.js'
import type { StreamScope } from './scope.js'

/** How many events one step of a handler may emit. */
export const maxEventsPerStep = 10_000

/** What a group is made for. */
export interface GroupOptions {
  /** The command or event that the group's failure is about. */
  readonly owner: string
  readonly dispatcher: EventDispatcher
  /** Where the runs of this group wait for their turn. Asked each time, because a lent permit may have been taken back. */
  readonly lane: () => EventLane
  /** 0 for the events of a stream; that of the event whose handler called the mediator for nested ones. */
  readonly depth: number
  /** One event handler after the other, in the order of the emits. */
  readonly sequential: boolean
  readonly log: () => Logger
  readonly caller: Caller | undefined
  readonly scope: StreamScope
  /** Undefined for a publish. */
  readonly streamId: string | undefined
  readonly onFailure?: (error: unknown) => void
}

/** The events of one stream or one publish: what was emitted and not yet dispatched, how much is pending, what failed. */
export class EventGroup {
  /** How many runs of event handlers have not settled. */
  pending = 0
  /** How many events were handed to the dispatcher. */
  dispatched = 0
  readonly #options: GroupOptions
  readonly #failures: unknown[] = []
  #emitted: EmittedEvent[] = []
  #sealed = false
  #waiters: Array<{ readonly limit: number, readonly resolve: () => void }> = []
  readonly #sequence: Array<() => Promise<void>> = []
  #inSequence = false
  #advancing = false

  constructor (options: GroupOptions) {
    this.#options = options
  }

  get log (): Logger {
    return this.#options.log()
  }

  get caller (): Caller | undefined {
    return this.#options.caller
  }

  get scope (): StreamScope {
    return this.#options.scope
  }

  get streamId (): string | undefined {
    return this.#options.streamId
  }

  /** What went wrong in event handlers, as one error, or undefined. */
  get failure (): Error | undefined {
    if (this.#failures.length === 0) return undefined
    const cause = this.#failures.length === 1
      ? this.#failures[0]
      : new AggregateError(this.#failures, `${this.#failures.length} event handlers failed`)
    return new EventHandlerFailedError(this.#options.owner, { cause })
  }

  readonly emit: Emit = (definition, payload) => {
    assertEvent(definition)
    if (this.#sealed) throw new EmitAfterEndError(definition.name)
    const { depth, dispatcher } = this.#options
    if (depth >= dispatcher.maxEventDepth) throw new EventDepthError(definition.name, dispatcher.maxEventDepth)
    if (this.#emitted.length >= maxEventsPerStep) throw new TooManyEventsError(maxEventsPerStep)
    this.#emitted.push(dispatcher.eventOf(definition, payload, this.streamId))
  }

  /** Dispatches what was emitted since the last flush, in order. */
  flush (): void {
    if (this.#emitted.length === 0) return
    const events = this.#emitted
    this.#emitted = []
    this.dispatch(events, this.#options.depth + 1)
  }

  /** Dispatches events that an event handler of this group emitted. */
  dispatch (events: readonly EmittedEvent[], depth: number): void {
    this.dispatched += events.length
    for (const event of events) this.#options.dispatcher.dispatch(event, depth, this)
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

  /** Runs a task when the group's lane, and in a sequential group the task before it, lets it. It must not reject. */
  run (task: () => Promise<void>): void {
    // A handler that was let go may emit when its stream has settled and its scope has ended: then its events get another one.
    if (this.pending++ === 0) this.#options.scope.enter()
    this.#options.dispatcher.waiting++
    if (!this.#options.sequential) {
      void this.#options.lane().add(task)
    } else {
      this.#sequence.push(task)
      this.#advance()
    }
  }

  /** A run has settled, with an error or without. */
  settled (failure?: { readonly error: unknown }): void {
    if (failure !== undefined) {
      this.#failures.push(failure.error)
      this.#options.onFailure?.(failure.error)
    }
    if (--this.pending === 0) this.#options.scope.leave(this.#options.log)
    this.#inSequence = false
    if (this.#sequence.length > 0) this.#advance()
    if (this.#waiters.length > 0) this.#wake()
  }

  // The lane is asked for one task at a time, so that a sequential stream holds one permit and waits behind nobody of its own.
  // A loop, because a task that is dropped settles before `add` returns: thousands of these must not grow the stack.
  #advance (): void {
    if (this.#advancing) return
    this.#advancing = true
    while (!this.#inSequence && this.#sequence.length > 0) {
      this.#inSequence = true
      void this.#options.lane().add(this.#sequence.shift()!)
    }
    this.#advancing = false
  }

  #wake (): void {
    const ready = this.#waiters.filter(({ limit }) => this.pending < limit)
    this.#waiters = this.#waiters.filter(({ limit }) => this.pending >= limit)
    for (const { resolve } of ready) resolve()
  }
}
