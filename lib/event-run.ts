import pRetry from 'p-retry'
import type PQueue from 'p-queue'
import type { Caller } from './caller.js'
import { EmitAfterEndError, EventDepthError, EventHandlerTimeoutError, TooManyEventsError } from './errors.js'
import { assertEvent } from './event.js'
import type { Emit, EmittedEvent, EventContext } from './event.js'
import type { EventDispatcher, EventLane, EventRegistration } from './event-dispatcher.js'
import { maxEventsPerStep } from './event-group.js'
import type { EventGroup } from './event-group.js'
import { detachAfterMs } from './handler-run.js'
import { logThrown } from './logger.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import type { Scope } from './scope.js'

// Of a retry's backoff: the first wait, doubled each time, and its bound, in milliseconds.
const backoff = { minTimeout: 100, factor: 2, maxTimeout: 30_000, randomize: true } as const

// p-retry gives up on a TypeError and replaces what is no error: each failure goes through it as one of these.
class Attempt extends Error {
  constructor (readonly thrown: unknown) { super('attempt failed') }
}

/**
 * One event handler at work on one event: its attempts, the events that it emits and the calls that it makes. It holds one
 * permit from `start` until all of these have settled.
 */
export class EventRun implements EventContext {
  readonly event: EmittedEvent
  /** That of the events which the handler emits and of its calls is one more. */
  readonly depth: number
  readonly #dispatcher: EventDispatcher
  readonly #registration: EventRegistration
  readonly #group: EventGroup
  #emitted: EmittedEvent[] | undefined
  #settled = false
  #ended = false
  #holdsPermit = true
  #lane: PQueue | undefined
  #calls = 0
  #onCallsEnded: (() => void) | undefined
  #mediator: MediatorCalls | undefined
  #log: Logger | undefined

  constructor (dispatcher: EventDispatcher, registration: EventRegistration, event: EmittedEvent, depth: number, group: EventGroup) {
    this.#dispatcher = dispatcher
    this.#registration = registration
    this.event = event
    this.depth = depth
    this.#group = group
  }

  /** The handler's name, for the log. */
  get name (): string {
    return this.#registration.name
  }

  get signal (): AbortSignal {
    return this.#dispatcher.signal
  }

  get caller (): Caller | undefined {
    return this.#group.caller
  }

  get scope (): Scope {
    return this.#group.scope.scope
  }

  get group (): EventGroup {
    return this.#group
  }

  get log (): Logger {
    this.#log ??= this.#group.log.child({ event: this.event.name })
    return this.#log
  }

  get mediator (): MediatorCalls {
    this.#mediator ??= this.#dispatcher.callsOf(this)
    return this.#mediator
  }

  /** Whether the handler, its retries or its calls go on. What it calls afterwards is independent work. */
  get holdsPermit (): boolean {
    return this.#holdsPermit
  }

  /** Where the events of this run's calls wait: for its own permit, one at a time, while it holds it, else with all others. */
  get lane (): EventLane {
    if (!this.#holdsPermit) return this.#dispatcher.lane
    this.#lane ??= this.#dispatcher.lend()
    return this.#lane
  }

  // A getter, because handlers take their context apart.
  get emit (): Emit {
    return (definition, payload) => {
      assertEvent(definition)
      if (this.#ended) throw new EmitAfterEndError(definition.name)
      if (this.depth >= this.#dispatcher.maxEventDepth) throw new EventDepthError(definition.name, this.#dispatcher.maxEventDepth)
      this.#emitted ??= []
      if (this.#emitted.length >= maxEventsPerStep) throw new TooManyEventsError(maxEventsPerStep)
      this.#emitted.push(this.#dispatcher.eventOf(definition, payload, this.#group.streamId))
    }
  }

  /** Runs the handler and its policies. Never rejects. */
  async start (): Promise<void> {
    const { handler, options } = this.#registration
    let failure: { readonly error: unknown } | undefined
    try {
      if (options.retries === 0 && options.timeoutMs === undefined) await handler(this.event, this)
      else await this.#retry()
    } catch (error) {
      failure = await this.#fail(error)
    }
    this.#ended = true
    if (this.#emitted !== undefined) this.#flush(this.#emitted)
    if (this.#calls > 0) await new Promise<void>(resolve => { this.#onCallsEnded = resolve })
    this.#holdsPermit = false
    if (this.#lane !== undefined) this.#dispatcher.takeBack(this.#lane)
    this.settle(failure)
    this.#dispatcher.runEnded(this)
  }

  /** Tells the group the outcome, once. */
  settle (failure?: { readonly error: unknown }): void {
    if (this.#settled) return
    this.#settled = true
    this.#group.settled(failure)
  }

  /** Counts a call of the handler from its first moment, whether the handler waits for it or not. */
  async call<T> (make: () => Promise<T>): Promise<T> {
    this.callStarted()
    try {
      return await make()
    } finally {
      this.callEnded()
    }
  }

  callStarted (): void {
    this.#calls++
  }

  callEnded (): void {
    if (--this.#calls === 0) this.#onCallsEnded?.()
  }

  #flush (events: readonly EmittedEvent[]): void {
    this.#emitted = undefined
    this.#group.dispatch(events, this.depth + 1)
  }

  async #retry (): Promise<void> {
    const { retries } = this.#registration.options
    let handled = false
    try {
      await pRetry(async () => {
        try {
          await this.#attempt()
          handled = true
        } catch (error) {
          throw new Attempt(error)
        }
      }, {
        ...backoff,
        retries,
        signal: this.#dispatcher.signal,
        onFailedAttempt: ({ error, attemptNumber, retriesLeft }) => {
          // What an attempt emitted is a fact, even when the attempt failed.
          if (this.#emitted !== undefined) this.#flush(this.#emitted)
          if (retriesLeft > 0 && error instanceof Attempt) {
            logThrown(this.log, 'warn', error.thrown, { attempt: attemptNumber, retriesLeft }, 'event handler failed, it will run again')
          }
        }
      })
    } catch (error) {
      // p-retry rejects when its signal has aborted, also where the attempt came to a good end.
      if (!handled) throw error instanceof Attempt ? error.thrown : error
    }
  }

  async #attempt (): Promise<void> {
    const { handler, options: { timeoutMs } } = this.#registration
    if (timeoutMs === undefined) {
      await handler(this.event, this)
      return
    }
    const controller = new AbortController()
    const onClose = (): void => controller.abort(this.#dispatcher.signal.reason)
    this.#dispatcher.signal.addEventListener('abort', onClose, { once: true })
    let timeout: Error | undefined
    let timer: NodeJS.Timeout | undefined
    const detached = new Promise<void>(resolve => {
      timer = setTimeout(() => {
        timeout = new EventHandlerTimeoutError(this.event.name, timeoutMs)
        controller.abort(timeout)
        timer = setTimeout(() => {
          this.log.warn({ handler: this.name, timeoutMs }, 'event handler goes on after its timeout: make it listen to its signal')
          resolve()
        }, detachAfterMs)
      }, timeoutMs)
    })
    try {
      await Promise.race([handler(this.event, this.#contextWith(controller.signal)), detached])
    } catch (error) {
      throw timeout ?? error
    } finally {
      clearTimeout(timer)
      this.#dispatcher.signal.removeEventListener('abort', onClose)
    }
    if (timeout !== undefined) throw timeout
  }

  // An attempt keeps its signal, so that one which was let go does not go on with that of the next.
  #contextWith (signal: AbortSignal): EventContext {
    const log = (): Logger => this.log
    const mediator = (): MediatorCalls => this.mediator
    const scope = (): Scope => this.scope
    return {
      signal,
      emit: this.emit,
      caller: this.caller,
      get log () { return log() },
      get mediator () { return mediator() },
      get scope () { return scope() }
    }
  }

  // What is left of a failure when the handler's policy has been asked.
  async #fail (error: unknown): Promise<{ readonly error: unknown } | undefined> {
    const { onError } = this.#registration.options
    if (typeof onError !== 'function') {
      logThrown(this.log, 'error', error, {}, 'event handler failed')
      return onError === 'fail' ? { error } : undefined
    }
    try {
      await onError(error, this.event, this)
      return undefined
    } catch (thrown) {
      logThrown(this.log, 'error', thrown, {}, 'event handler failed')
      return { error: thrown }
    }
  }
}
