import { Type } from '@sinclair/typebox'
import { withBehaviors } from './behavior.js'
import type { Behavior } from './behavior.js'
import type { Caller } from './caller.js'
import { serializersOf } from './definition.js'
import type { CommandDefinition, InputOf, ResultOf } from './definition.js'
import {
  BrokerMissingError, DuplicateHandlerError, InvalidBehaviorError, InvalidHandlerError, InvalidOptionsError, ShuttingDownError, StartedAlreadyError,
  UnknownCommandError
} from './errors.js'
import { assertEvent, definedTopics, resolveEventHandlerOptions } from './event.js'
import type { EventDefinition, EventHandler, EventHandlerClass, EventHandlerOptions, PayloadOf } from './event.js'
import { EventDispatcher } from './event-dispatcher.js'
import { EventGroup } from './event-group.js'
import type { EventRun } from './event-run.js'
import type { AnyHandler, CallContext, ChainHandler, ChainHandlerClass, Handler, HandlerClass, HandlerContext, RegularHandler } from './handler.js'
import { streamOf } from './handler.js'
import { chainOf } from './handler-chain.js'
import { handlerFunctionOf, handlerName } from './handler-class.js'
import { detachAfterMs } from './handler-run.js'
import { createDefaultLogger, logThrown } from './logger.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import { MediatorStream } from './mediator-stream.js'
import type { CallOptions, EventDelivery, HandlerCall, StreamHost, StreamOptions } from './mediator-stream.js'
import type { MessageBroker } from './message-broker.js'
import { parseOptions } from './options.js'
import { StreamScope, assertScopeOption } from './scope.js'
import type { Scope } from './scope.js'

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
  eventSource: Type.String({ minLength: 1, format: 'uri-reference', default: '/mediator' }),
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
  /** Where events with a topic are published. */
  readonly messageBroker?: MessageBroker
  /** What a failure of the message broker means, as for an event handler. */
  readonly brokerPolicy?: EventHandlerOptions
  /** The CloudEvents `source` of published events: a URI reference of the app, such as `urn:example:orders`. @default '/mediator' */
  readonly eventSource?: string
  /** Makes the scope of a stream or publish that was given none: where handler classes are resolved. @default classes are made without arguments */
  readonly scope?: () => Scope
  /** How long `close` waits for handlers and events, in milliseconds, before it ends them. @default 5000 */
  readonly closeGraceMs?: number
  /** @default pino at `warn`, to stderr */
  readonly logger?: Logger
}

/** Binds the handlers and events of one module. */
export type Mapper = (mediator: StreamingMediator) => void | Promise<void>

interface Registration {
  readonly handler: AnyHandler
  readonly delivery: EventDelivery
}

/** What a call has from its options, or from who makes it. */
type Inheritance = Pick<HandlerCall, 'caller' | 'log' | 'scope'>

/** Who makes calls: the app, the handler of a stream, or an event handler. What it does not say, its calls inherit. */
interface CallMaker {
  readonly caller: Caller | undefined
  /** Undefined for the app: each of its calls gets a scope of its own. */
  readonly scope: StreamScope | undefined
  readonly log: Logger
  /** The event handler on whose permit the events of the calls run. */
  readonly run: EventRun | undefined
  /** Whether it may still call while the mediator closes. */
  isAtWork (): boolean
}

/** Runs commands as streams and their events beside them. Needs no server. */
export class StreamingMediator implements MediatorCalls {
  readonly #handlers = new Map<string, Registration>()
  #behaviors: readonly Behavior[] = []
  readonly #dispatcher: EventDispatcher
  readonly #streams = new Set<MediatorStream<CommandDefinition>>()
  readonly #app: CallMaker
  readonly #appHost: StreamHost
  readonly #maxPendingEvents: number
  readonly #delivery: EventDelivery
  readonly #createScope: (() => Scope) | undefined
  readonly #hasBroker: boolean
  readonly #closeGraceMs: number
  readonly #mapping: Array<Promise<void>> = []
  readonly #startupHooks: Mapper[] = []
  #ready: Promise<void> | undefined
  #publishing = 0
  #disposing = 0
  #onCallsSettled: (() => void) | undefined
  #closing: Promise<void> | undefined

  /** @throws MEDIATOR_ERR_INVALID_OPTIONS */
  constructor ({ logger, messageBroker, brokerPolicy = {}, scope, ...given }: MediatorOptions = {}) {
    const options = parseOptions('StreamingMediator', mediatorOptionsSchema, given)
    assertScopeOption('StreamingMediator', scope)
    if (messageBroker !== undefined && typeof messageBroker?.publish !== 'function') {
      throw new InvalidOptionsError('StreamingMediator', 'messageBroker must have a method publish')
    }
    if (brokerPolicy === null || typeof brokerPolicy !== 'object') throw new InvalidOptionsError('StreamingMediator', 'brokerPolicy must be an object')
    const log = logger ?? createDefaultLogger()
    this.#maxPendingEvents = options.maxPendingEvents
    this.#delivery = { eventDelivery: options.eventDelivery, eventOrder: options.eventOrder }
    this.#createScope = scope
    this.#hasBroker = messageBroker !== undefined
    this.#closeGraceMs = options.closeGraceMs
    const policy = resolveEventHandlerOptions('messageBroker', brokerPolicy)
    this.#dispatcher = new EventDispatcher({
      concurrency: options.maxConcurrentEventHandlers,
      maxEventDepth: options.maxEventDepth,
      log,
      broker: messageBroker === undefined ? undefined : { broker: messageBroker, options: policy },
      eventSource: options.eventSource,
      callsOf: run => this.#callsOf({ caller: run.caller, scope: run.group.scope, log: run.log, run, isAtWork: () => run.holdsPermit })
    })
    this.#app = { caller: undefined, scope: undefined, log, run: undefined, isAtWork: () => false }
    this.#appHost = this.#hostOf(this.#app)
  }

  /**
   * Adds the handler of a command or query: a function, a class, the name of one in the scope, or a list of these, a chain in which
   * each handles the input or hands it on by `context.next`.
   * @throws MEDIATOR_ERR_DUPLICATE_HANDLER, MEDIATOR_ERR_INVALID_HANDLER, MEDIATOR_ERR_INVALID_DEFINITION, MEDIATOR_ERR_INVALID_OPTIONS
   */
  addHandler<D extends CommandDefinition> (definition: D, handler: Handler<D> | HandlerClass<D>, options?: HandlerOptions): void
  addHandler<D extends CommandDefinition> (definition: D, handler: RegularHandler<D>, options?: HandlerOptions): void
  addHandler<D extends CommandDefinition> (
    definition: D, chain: ReadonlyArray<ChainHandler<D> | ChainHandlerClass<D> | string | symbol>, options?: HandlerOptions
  ): void
  addHandler (definition: CommandDefinition, nameInScope: string | symbol, options?: HandlerOptions): void
  addHandler (definition: CommandDefinition, handler: unknown, options: HandlerOptions = {}): void {
    serializersOf(definition)
    const { name } = definition
    // The mediator hands each handler only inputs of its own definition.
    const functionOf = (one: unknown): AnyHandler => handlerFunctionOf(name, one) as AnyHandler
    if (Array.isArray(handler) && handler.length === 0) throw new InvalidHandlerError(name, 'an empty chain')
    const resolved = Array.isArray(handler) ? chainOf(definition, handler.map(functionOf)) : functionOf(handler)
    if (this.#handlers.has(name)) throw new DuplicateHandlerError(name)
    const delivery = { ...this.#delivery, ...parseOptions(`"${name}" handler`, handlerOptionsSchema, options) }
    this.#handlers.set(name, { handler: resolved, delivery })
  }

  /**
   * Adds a handler of an event: a function, a class, or the name of one in the scope. An event may have several, which run beside
   * each other.
   * @throws MEDIATOR_ERR_INVALID_HANDLER, MEDIATOR_ERR_INVALID_DEFINITION, MEDIATOR_ERR_INVALID_OPTIONS
   */
  addEventHandler<E extends EventDefinition> (
    definition: E, handler: EventHandler<E> | EventHandlerClass<E> | string | symbol, options: EventHandlerOptions<E> = {}
  ): void {
    assertEvent(definition)
    // The dispatcher hands each handler only events of its own definition.
    const resolved = handlerFunctionOf(definition.name, handler) as EventHandler
    const policy = resolveEventHandlerOptions(definition.name, options as EventHandlerOptions)
    this.#dispatcher.addHandler(definition, { name: handlerName(handler), handler: resolved, options: policy })
  }

  /**
   * Wraps all streams, sends and publishes that begin from now on. The behavior that was added first is the outermost.
   * @throws MEDIATOR_ERR_INVALID_BEHAVIOR
   */
  addBehavior (behavior: Behavior): void {
    if (typeof behavior !== 'function') throw new InvalidBehaviorError()
    // A new list, because calls that run have theirs.
    this.#behaviors = [...this.#behaviors, behavior]
  }

  /**
   * Calls a function that binds the handlers and events of a module, and throws what that throws. `ready` waits for one that is
   * asynchronous, and rejects where it does.
   */
  register (mapper: Mapper): Promise<void> {
    const mapping = Promise.resolve(mapper(this))
    this.#mapping.push(mapping)
    // Often nobody waits before `ready`, which may come much later, and may not come at all.
    mapping.catch(error => logThrown(this.#app.log, 'error', error, {}, 'mapper failed'))
    return mapping
  }

  /**
   * Adds a function that `ready` runs, in the order in which they were added.
   * @throws MEDIATOR_ERR_STARTED_ALREADY
   */
  onStartup (hook: Mapper): void {
    if (this.#ready !== undefined) throw new StartedAlreadyError()
    this.#startupHooks.push(hook)
  }

  /**
   * Waits for the mappers, checks what can be known before anything runs, and runs the startup hooks. The plugin calls it when the app
   * gets ready. Can be called again.
   * @throws MEDIATOR_ERR_BROKER_MISSING when an event with a topic is defined and there is no message broker
   */
  ready (): Promise<void> {
    this.#ready ??= this.#start()
    return this.#ready
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
    return this.#stream(this.#app, this.#appHost, definition, input, options)
  }

  /** Runs a command to its end and resolves its result; progress is dropped. Rejects as `stream(…).result` does. */
  async send<D extends CommandDefinition> (definition: D, input: InputOf<D>, options?: StreamOptions): Promise<ResultOf<D>> {
    return await this.stream(definition, input, options).result
  }

  /**
   * Hands an event to its handlers and, if it has a topic, to the message broker, and resolves when these have settled, with what they
   * emitted.
   * @throws MEDIATOR_ERR_EVENT_HANDLER_FAILED with what they threw as its `cause`, MEDIATOR_ERR_SHUTTING_DOWN after `close`
   */
  async publish<E extends EventDefinition> (definition: E, payload: PayloadOf<E>, options?: CallOptions): Promise<void> {
    await this.#publish(this.#app, definition, payload, options)
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
    maker: CallMaker, host: StreamHost, definition: D, input: InputOf<D>, { signal, resumeAfter, ...options }: StreamOptions = {}
  ): MediatorStream<D> {
    const registration = this.#handlers.get(definition.name)
    if (registration === undefined) throw new UnknownCommandError(definition.name)
    const { delivery } = registration
    const handler = this.#behaviors.length === 0
      ? registration.handler
      : withBehaviors(this.#behaviors, { kind: 'stream', definition }, registration.handler)
    return new MediatorStream<D>({ ...this.#inherit(maker, options), definition, handler, delivery, input, signal, resumeAfter, host })
  }

  async #publish (maker: CallMaker, definition: EventDefinition, payload: unknown, options: CallOptions = {}): Promise<void> {
    assertEvent(definition)
    this.#assertOpen(maker)
    const inherited = this.#inherit(maker, options)
    const { caller, log, scope } = inherited
    const publish = async (changed: unknown): Promise<void> => {
      const group = this.#createGroup(maker.run, {
        owner: definition.name, sequential: this.#delivery.eventOrder === 'sequential', log: () => log, caller, scope, streamId: undefined
      })
      group.emit(definition, changed)
      group.seal()
      await group.below(1)
      if (group.failure !== undefined) throw group.failure
    }
    scope.enter()
    this.#publishing++
    try {
      if (this.#behaviors.length === 0) await publish(payload)
      else await this.#publishInBehaviors({ ...inherited, run: maker.run }, definition, payload, publish)
    } finally {
      this.#publishing--
      scope.leave(() => log)
      this.#callSettled()
    }
  }

  async #publishInBehaviors (
    inherited: Inheritance & Pick<CallMaker, 'run'>, definition: EventDefinition, payload: unknown, publish: (payload: unknown) => Promise<void>
  ): Promise<void> {
    let atWork = true
    const { caller, log, scope } = inherited
    const mediator = (): MediatorCalls => this.#callsOf({ ...inherited, isAtWork: () => atWork })
    const context: CallContext = {
      caller,
      log: log.child({ event: definition.name }),
      get mediator () { return mediator() },
      get scope () { return scope.scope }
    }
    const wrapped = withBehaviors(this.#behaviors, { kind: 'publish', definition }, publish)
    // The context of a publish has no members that only a stream has: the type of a behavior's call says so.
    const steps = streamOf(wrapped, payload, context as HandlerContext)
    try {
      while ((await steps.next()).done !== true) { /* What is yielded here has no reader. */ }
    } finally {
      atWork = false
    }
  }

  #inherit (maker: CallMaker, { caller = maker.caller, log = maker.log, scope }: CallOptions): Inheritance {
    assertScopeOption('call', scope)
    if (scope === undefined && maker.scope !== undefined) return { caller, log, scope: maker.scope }
    return { caller, log, scope: new StreamScope(scope ?? this.#createScope, this.#onDispose) }
  }

  // The mediator as a handler sees it. The calls of an event handler are counted, and their events run on its own permit.
  #callsOf (maker: CallMaker): MediatorCalls {
    const { run } = maker
    const host = this.#hostOf(maker)
    const counted = async <T>(call: () => Promise<T>): Promise<T> => run === undefined ? await call() : await run.call(call)
    const calls: MediatorCalls = {
      stream: (definition, input, options) => this.#stream(maker, host, definition, input, options),
      send: async (definition, input, options) => await counted(async () => await calls.stream(definition, input, options).result),
      publish: async (definition, payload, options) => await counted(async () => await this.#publish(maker, definition, payload, options))
    }
    return calls
  }

  #hostOf (maker: CallMaker): StreamHost {
    const { run } = maker
    return {
      maxPendingEvents: this.#maxPendingEvents,
      callsOf: stream => this.#callsOf({ ...stream.inheritance, run, isAtWork: () => this.#streams.has(stream) }),
      createGroup: options => this.#createGroup(run, options),
      streamStarted: stream => {
        this.#assertOpen(maker)
        this.#streams.add(stream)
        run?.callStarted()
      },
      streamEnded: stream => {
        this.#streams.delete(stream)
        run?.callEnded()
        this.#callSettled()
      }
    }
  }

  #callSettled (): void {
    if (this.#streams.size === 0 && this.#publishing === 0 && this.#disposing === 0) this.#onCallsSettled?.()
  }

  // `close` waits for it: what a scope holds may need a database that the app closes next.
  readonly #onDispose = (disposal: Promise<void>): void => {
    this.#disposing++
    void disposal.then(() => {
      this.#disposing--
      this.#callSettled()
    })
  }

  // While the mediator closes, handlers may still finish what they do, until its grace is over.
  #assertOpen (maker: CallMaker): void {
    if (this.#closing === undefined) return
    if (!maker.isAtWork() || this.#dispatcher.signal.aborted) throw new ShuttingDownError()
  }

  #createGroup (run: EventRun | undefined, options: Parameters<StreamHost['createGroup']>[0]): EventGroup {
    return new EventGroup({ ...options, dispatcher: this.#dispatcher, lane: () => run?.lane ?? this.#dispatcher.lane, depth: run?.depth ?? 0 })
  }

  async #start (): Promise<void> {
    await this.#mapped()
    const [defined] = definedTopics()
    if (!this.#hasBroker && defined !== undefined) throw new BrokerMissingError(defined[1], defined[0])
    for (const hook of this.#startupHooks) await hook(this)
    await this.#mapped()
  }

  // Mappers and hooks may register further mappers.
  async #mapped (): Promise<void> {
    while (this.#mapping.length > 0) await Promise.all(this.#mapping.splice(0))
  }

  async #close (): Promise<void> {
    const idle = new Promise<void>(resolve => {
      this.#onCallsSettled = resolve
      this.#callSettled()
    }).then(() => this.#dispatcher.idle())
    if (await settlesWithin(this.#closeGraceMs, idle)) return
    for (const stream of this.#streams) stream.end('shutdown')
    this.#dispatcher.abort(new ShuttingDownError())
    // Those that listen to their signal run their finally blocks now; the others are reported and left to themselves.
    await settlesWithin(detachAfterMs, idle)
    const left = this.#dispatcher.release()
    if (left.running > 0 || left.dropped > 0) this.#app.log.warn(left, 'event handlers did not finish before the mediator closed')
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
