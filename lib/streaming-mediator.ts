import { Type } from '@sinclair/typebox'
import { serializersOf } from './definition.js'
import type { CommandDefinition, InputOf, ResultOf } from './definition.js'
import { DuplicateHandlerError, InvalidHandlerError, ShuttingDownError, UnknownCommandError } from './errors.js'
import { assertEvent, resolveEventHandlerOptions } from './event.js'
import type { EventDefinition, EventHandler, EventHandlerOptions, PayloadOf } from './event.js'
import { EventDispatcher } from './event-dispatcher.js'
import type { EventRun } from './event-run.js'
import { EventGroup } from './event-group.js'
import type { GroupOptions } from './event-group.js'
import type { AnyHandler, Handler, RegularHandler } from './handler.js'
import { createDefaultLogger } from './logger.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import { MediatorStream, detachAfterMs } from './mediator-stream.js'
import type { EventDelivery, StreamHost, StreamOptions } from './mediator-stream.js'
import { parseOptions } from './options.js'

const deliverySchema = {
  eventDelivery: Type.Union([Type.Literal('overlap'), Type.Literal('before-progress')]),
  eventOrder: Type.Union([Type.Literal('parallel'), Type.Literal('sequential')])
}

/** The options of a mediator, with their defaults. */
export const mediatorOptionsSchema = Type.Object({
  maxConcurrentEventHandlers: Type.Integer({ minimum: 1, default: 10 }),
  maxPendingEvents: Type.Integer({ minimum: 1, default: 100 }),
  maxEventDepth: Type.Integer({ minimum: 1, default: 16 }),
  eventDelivery: Type.Union(deliverySchema.eventDelivery.anyOf, { default: 'overlap' }),
  eventOrder: Type.Union(deliverySchema.eventOrder.anyOf, { default: 'parallel' }),
  closeGraceMs: Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, default: 5_000 })
})

const handlerOptionsSchema = Type.Partial(Type.Object(deliverySchema))

/** Options of a command's handler. Unknown keys are refused. */
export type HandlerOptions = Partial<EventDelivery>

/** Options of {@link StreamingMediator}. Unknown keys are refused. */
export interface MediatorOptions extends Partial<EventDelivery> {
  /** How many event handlers run at once, over all streams; 1 is strictly in the order of the emits. @default 10 */
  readonly maxConcurrentEventHandlers?: number
  /** How many runs of event handlers one stream may have pending before its handler is not resumed. @default 100 */
  readonly maxPendingEvents?: number
  /** How deep events may emit events, or call commands that do. @default 16 */
  readonly maxEventDepth?: number
  /** How long `close` waits for handlers and events, in milliseconds, before it ends them. @default 5000 */
  readonly closeGraceMs?: number
  /** @default pino at `warn`, to stderr */
  readonly logger?: Logger
}

interface Registration {
  readonly handler: AnyHandler
  readonly delivery: EventDelivery
}

/** Runs commands as streams and their events beside them. Needs no server. */
export class StreamingMediator implements MediatorCalls {
  readonly #handlers = new Map<string, Registration>()
  readonly #dispatcher: EventDispatcher
  readonly #streams = new Set<MediatorStream<CommandDefinition>>()
  readonly #host: StreamHost
  readonly #log: Logger
  readonly #maxPendingEvents: number
  readonly #delivery: EventDelivery
  readonly #closeGraceMs: number
  #onStreamsEnded: (() => void) | undefined
  #closing: Promise<void> | undefined

  /** @throws MEDIATOR_ERR_INVALID_OPTIONS */
  constructor ({ logger, ...given }: MediatorOptions = {}) {
    const options = parseOptions('StreamingMediator', mediatorOptionsSchema, given)
    this.#log = logger ?? createDefaultLogger()
    this.#maxPendingEvents = options.maxPendingEvents
    this.#delivery = { eventDelivery: options.eventDelivery, eventOrder: options.eventOrder }
    this.#closeGraceMs = options.closeGraceMs
    this.#dispatcher = new EventDispatcher({
      concurrency: options.maxConcurrentEventHandlers,
      maxEventDepth: options.maxEventDepth,
      log: this.#log,
      callsOf: run => this.#callsOf(run)
    })
    this.#host = this.#hostOf(undefined, this)
  }

  /**
   * Adds the handler of a command or query.
   * @throws MEDIATOR_ERR_DUPLICATE_HANDLER, MEDIATOR_ERR_INVALID_HANDLER, MEDIATOR_ERR_INVALID_DEFINITION, MEDIATOR_ERR_INVALID_OPTIONS
   */
  addHandler<D extends CommandDefinition> (definition: D, handler: Handler<D>, options?: HandlerOptions): void
  addHandler<D extends CommandDefinition> (definition: D, handler: RegularHandler<D>, options?: HandlerOptions): void
  addHandler (definition: CommandDefinition, handler: unknown, options: HandlerOptions = {}): void {
    serializersOf(definition)
    assertFunction(definition.name, handler)
    if (this.#handlers.has(definition.name)) throw new DuplicateHandlerError(definition.name)
    const delivery = { ...this.#delivery, ...parseOptions(`"${definition.name}" handler`, handlerOptionsSchema, options) }
    this.#handlers.set(definition.name, { handler: handler as AnyHandler, delivery })
  }

  /**
   * Adds a handler of an event; an event may have several, which run beside each other.
   * @throws MEDIATOR_ERR_INVALID_HANDLER, MEDIATOR_ERR_INVALID_DEFINITION, MEDIATOR_ERR_INVALID_OPTIONS
   */
  addEventHandler<E extends EventDefinition> (definition: E, handler: EventHandler<E>, options: EventHandlerOptions<E> = {}): void {
    assertEvent(definition)
    assertFunction(definition.name, handler)
    // The dispatcher hands each handler only events of its own definition.
    const resolved = resolveEventHandlerOptions(definition.name, options as EventHandlerOptions)
    this.#dispatcher.addHandler(definition, handler as EventHandler, resolved)
  }

  /** How many streams have started and not settled. */
  get openStreams (): number {
    return this.#streams.size
  }

  /** Whether the command or query has a handler. */
  hasHandler (definition: CommandDefinition): boolean {
    return this.#handlers.has(definition.name)
  }

  /**
   * Makes a stream of a command's progress. The handler starts when the stream is first read. The input is trusted: routes
   * check it, this does not.
   * @throws MEDIATOR_ERR_UNKNOWN_COMMAND at once
   */
  stream<D extends CommandDefinition> (definition: D, input: InputOf<D>, options?: StreamOptions): MediatorStream<D> {
    return this.#stream(this.#host, definition, input, options)
  }

  /** Runs a command to its end and resolves its result; progress is dropped. Rejects as `stream(…).result` does. */
  async send<D extends CommandDefinition> (definition: D, input: InputOf<D>, options?: StreamOptions): Promise<ResultOf<D>> {
    return await this.stream(definition, input, options).result
  }

  /**
   * Hands an event to its handlers and resolves when they have settled, with what they emitted.
   * @throws MEDIATOR_ERR_EVENT_HANDLER_FAILED with what they threw as its `cause`, MEDIATOR_ERR_SHUTTING_DOWN after `close`
   */
  async publish<E extends EventDefinition> (definition: E, payload: PayloadOf<E>): Promise<void> {
    await this.#publish(undefined, definition, payload)
  }

  /**
   * Takes no new streams, gives those that run and their events `closeGraceMs` to finish, then ends them with reason
   * `shutdown`. Events that could not be handled by then are dropped and logged with their number. Can be called again.
   */
  close (): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #stream<D extends CommandDefinition> (
    host: StreamHost, definition: D, input: InputOf<D>, { log = this.#log, ...options }: StreamOptions = {}
  ): MediatorStream<D> {
    const registration = this.#handlers.get(definition.name)
    if (registration === undefined) throw new UnknownCommandError(definition.name)
    return new MediatorStream<D>({ ...options, ...registration, definition, input, log, host })
  }

  async #publish (run: EventRun | undefined, definition: EventDefinition, payload: unknown): Promise<void> {
    this.#assertOpen(run)
    const group = this.#createGroup(run, {
      owner: definition?.name,
      sequential: this.#delivery.eventOrder === 'sequential',
      log: () => run?.log ?? this.#log
    })
    group.emit(definition, payload)
    group.seal()
    await group.below(1)
    if (group.failure !== undefined) throw group.failure
  }

  // The mediator as an event handler sees it: its calls are counted, and their events run on the handler's own permit.
  #callsOf (run: EventRun): MediatorCalls {
    const calls: MediatorCalls = {
      stream: (definition, input, options) => this.#stream(host, definition, input, { log: run.log, ...options }),
      send: async (definition, input, options) => await run.call(async () => await calls.stream(definition, input, options).result),
      publish: async (definition, payload) => await run.call(async () => await this.#publish(run, definition, payload))
    }
    const host = this.#hostOf(run, calls)
    return calls
  }

  #hostOf (run: EventRun | undefined, calls: MediatorCalls): StreamHost {
    return {
      maxPendingEvents: this.#maxPendingEvents,
      calls,
      createGroup: options => this.#createGroup(run, options),
      streamStarted: stream => {
        this.#assertOpen(run)
        this.#streams.add(stream)
        run?.callStarted()
      },
      streamEnded: stream => {
        this.#streams.delete(stream)
        run?.callEnded()
        if (this.#streams.size === 0) this.#onStreamsEnded?.()
      }
    }
  }

  // While the mediator closes, event handlers may still finish what they do, until their signals abort.
  #assertOpen (run: EventRun | undefined): void {
    if (this.#closing === undefined) return
    if (run === undefined || !run.holdsPermit || this.#dispatcher.signal.aborted) throw new ShuttingDownError()
  }

  #createGroup (run: EventRun | undefined, options: Pick<GroupOptions, 'owner' | 'sequential' | 'log' | 'onFailure'>): EventGroup {
    return new EventGroup({ ...options, dispatcher: this.#dispatcher, lane: () => run?.lane ?? this.#dispatcher.lane, depth: run?.depth ?? 0 })
  }

  async #close (): Promise<void> {
    const idle = new Promise<void>(resolve => {
      this.#onStreamsEnded = resolve
      if (this.#streams.size === 0) resolve()
    }).then(() => this.#dispatcher.idle())
    if (await settlesWithin(this.#closeGraceMs, idle)) return
    for (const stream of this.#streams) stream.end('shutdown')
    this.#dispatcher.abort(new ShuttingDownError())
    // Those that listen to their signal run their finally blocks now; the others are reported and left to themselves.
    await settlesWithin(detachAfterMs, idle)
    const left = this.#dispatcher.release()
    if (left.running > 0 || left.dropped > 0) this.#log.warn(left, 'event handlers did not finish before the mediator closed')
  }
}

async function settlesWithin (ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<false>(resolve => { timer = setTimeout(resolve, ms, false) })
  try {
    return await Promise.race([work.then(() => true), timeout])
  } finally {
    clearTimeout(timer)
  }
}

function assertFunction (name: string, handler: unknown): void {
  if (typeof handler !== 'function') throw new InvalidHandlerError(name, handler === null ? 'null' : typeof handler)
}
