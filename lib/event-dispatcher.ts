import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import PQueue from 'p-queue'
import { BrokerMissingError } from './errors.js'
import { plainPayload } from './event.js'
import type { EmittedEvent, EventDefinition, EventHandler, ResolvedEventHandlerOptions } from './event.js'
import { EventRun } from './event-run.js'
import type { EventGroup } from './event-group.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import type { MessageBroker, MessageEnvelope } from './message-broker.js'

/** A queue with a number of permits: the mediator's own, or the one that an event handler lends to its calls. */
export type EventLane = Pick<PQueue, 'add'>

/** An event handler as it was added. */
export interface EventRegistration {
  /** For the log. */
  readonly name: string
  readonly handler: EventHandler
  readonly options: ResolvedEventHandlerOptions
}

// A queue that stands still for this long while every permit is held is logged, in milliseconds.
const stuckAfterMs = 10_000

export interface DispatcherOptions {
  readonly concurrency: number
  readonly maxEventDepth: number
  readonly log: Logger
  /** Where events with a topic go, and what a failure of it means. */
  readonly broker?: { readonly broker: MessageBroker, readonly options: ResolvedEventHandlerOptions } | undefined
  /** The `source` of the envelopes. */
  readonly eventSource?: string
  /** Told of each event when it has been emitted. */
  readonly onEmit?: ((event: EmittedEvent) => void) | undefined
  /** The mediator as a run's handler sees it. */
  readonly callsOf: (run: EventRun) => MediatorCalls
}

/** Runs event handlers for all streams of a mediator, in the order in which their events were emitted, at most `concurrency` at once. */
export class EventDispatcher {
  /** The permits of the mediator. */
  readonly lane: PQueue
  readonly maxEventDepth: number
  /** How many runs of event handlers wait for their turn, over all streams. */
  waiting = 0
  readonly #handlers = new Map<string, EventRegistration[]>()
  readonly #callsOf: (run: EventRun) => MediatorCalls
  readonly #log: Logger
  readonly #publishing: EventRegistration | undefined
  readonly #eventSource: string
  readonly #onEmit: ((event: EmittedEvent) => void) | undefined
  readonly #abort = new AbortController()
  readonly #running = new Set<EventRun>()
  readonly #lentLanes = new Set<PQueue>()
  #stuckTimer: NodeJS.Timeout | undefined
  #started = 0
  #dropped = 0

  constructor ({ concurrency, maxEventDepth, log, broker, eventSource = '/', onEmit, callsOf }: DispatcherOptions) {
    this.lane = new PQueue({ concurrency })
    this.maxEventDepth = maxEventDepth
    this.#callsOf = callsOf
    this.#log = log
    this.#eventSource = eventSource
    this.#onEmit = onEmit
    this.#publishing = broker === undefined ? undefined : publishingTo(broker.broker, broker.options)
    // Each attempt with a timeout or with retries listens to it: a permit bounds them, not a number of listeners.
    setMaxListeners(0, this.#abort.signal)
  }

  /** Aborted when the mediator closes and its grace is over. */
  get signal (): AbortSignal {
    return this.#abort.signal
  }

  addHandler (definition: EventDefinition, registration: EventRegistration): void {
    const registrations = this.#handlers.get(definition.name)
    if (registrations === undefined) this.#handlers.set(definition.name, [registration])
    else registrations.push(registration)
  }

  /**
   * An event as it is emitted. That of a topic gets its envelope here, once, whatever happens to it later.
   * @throws MEDIATOR_ERR_BROKER_MISSING, MEDIATOR_ERR_INVALID_PAYLOAD
   */
  eventOf (definition: EventDefinition, payload: unknown, streamId: string | undefined): EmittedEvent {
    const { name, topic } = definition
    const event = topic === undefined ? { name, payload } : { name, payload, envelope: this.#envelopeOf(definition, topic, payload, streamId) }
    this.#onEmit?.(event)
    return event
  }

  dispatch (event: EmittedEvent, depth: number, group: EventGroup): void {
    const registrations = this.#handlers.get(event.name)
    const publishing = event.envelope === undefined ? undefined : this.#publishing
    if (registrations === undefined && publishing === undefined) return
    if (registrations !== undefined) {
      for (const registration of registrations) group.run(() => this.#run(registration, event, depth, group))
    }
    if (publishing !== undefined) group.run(() => this.#run(publishing, event, depth, group))
    if (this.lane.size > 0) this.#watch()
  }

  /** How many event handlers have begun and not ended. */
  get running (): number {
    return this.#running.size
  }

  callsOf (run: EventRun): MediatorCalls {
    return this.#callsOf(run)
  }

  /** One permit, lent by a run to the events of its calls. */
  lend (): PQueue {
    const lane = new PQueue({ concurrency: 1 })
    this.#lentLanes.add(lane)
    return lane
  }

  takeBack (lane: PQueue): void {
    this.#lentLanes.delete(lane)
  }

  /** Resolves when no event handler runs or waits. */
  async idle (): Promise<void> {
    await this.lane.onIdle()
  }

  /** Aborts the signal of the event handlers that run; those that wait will not start. */
  abort (reason: Error): void {
    this.#abort.abort(reason)
    // Handlers that ignore their signal keep their permits; what waits behind them is dropped all the same.
    for (const lane of [this.lane, ...this.#lentLanes]) lane.concurrency = Infinity
  }

  /**
   * After `abort`: counts the handlers that still run as failed, so that nobody waits for them.
   * @returns how many there were, and how many were dropped because they could not start.
   */
  release (): { running: number, dropped: number } {
    const running = this.#running.size
    for (const run of this.#running) run.settle({ error: this.#abort.signal.reason })
    clearInterval(this.#stuckTimer)
    return { running, dropped: this.#dropped }
  }

  #envelopeOf (definition: EventDefinition, topic: string, payload: unknown, streamId: string | undefined): MessageEnvelope {
    if (this.#publishing === undefined) throw new BrokerMissingError(definition.name, topic)
    // It stays the same over all attempts to publish it.
    return Object.freeze<MessageEnvelope>({
      specversion: '1.0',
      id: randomUUID(),
      source: this.#eventSource,
      type: definition.name,
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      topic,
      ...(streamId !== undefined && { streamid: streamId }),
      data: plainPayload(definition, payload)
    })
  }

  // Not async: one promise for each event, that of the run, is what half a million a second can bear.
  #run (registration: EventRegistration, event: EmittedEvent, depth: number, group: EventGroup): Promise<void> {
    this.waiting--
    if (this.#abort.signal.aborted) {
      this.#dropped++
      group.settled({ error: this.#abort.signal.reason })
      return Promise.resolve()
    }
    const run = new EventRun(this, registration, event, depth, group)
    this.#started++
    this.#running.add(run)
    return run.start()
  }

  /** Told by a run that gives its permit back. */
  runEnded (run: EventRun): void {
    this.#running.delete(run)
  }

  // A call through `app.mediator` inside an event handler can wait for the permit that its own handler holds.
  #watch (): void {
    if (this.#stuckTimer !== undefined) return
    let started = this.#started
    this.#stuckTimer = setInterval(() => {
      if (this.lane.size === 0) {
        clearInterval(this.#stuckTimer)
        this.#stuckTimer = undefined
        return
      }
      // While something waits, every permit is held.
      if (started === this.#started) {
        const handlers = Array.from(this.#running, run => `${run.event.name}: ${run.name}`)
        this.#log.warn({ waiting: this.lane.size, handlers },
          'event handlers have not moved for 10 s: one may wait for its own permit, call the mediator of its context')
      }
      started = this.#started
    }, stuckAfterMs).unref()
  }
}

// A broker is one more handler of each event with a topic: its policy, its permit and its log are those of any other.
function publishingTo (broker: MessageBroker, options: ResolvedEventHandlerOptions): EventRegistration {
  return { name: 'messageBroker', options, handler: async ({ envelope }, { signal }) => await broker.publish(envelope!, { signal }) }
}
