import type { Behavior } from './behavior.js'
import type { CallOptions, StreamOptions, StreamSettings } from './call-options.js'
import { CallRunner } from './call-runner.js'
import { serializersOf } from './definition.js'
import type { CommandDefinition, InputOf, ResultOf } from './definition.js'
import { BrokerMissingError, DuplicateHandlerError, InvalidBehaviorError, InvalidHandlerError, InvalidOptionsError } from './errors.js'
import { assertEvent, definedTopics, resolveEventHandlerOptions } from './event.js'
import type { EventDefinition, EventHandler, EventHandlerClass, EventHandlerOptions, PayloadOf } from './event.js'
import type { AnyHandler, ChainHandler, ChainHandlerClass, Handler, HandlerClass, RegularHandler } from './handler.js'
import { chainOf } from './handler-chain.js'
import { assertNoGenerator, handlerFunctionOf, handlerName } from './handler-class.js'
import { createDefaultLogger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import { handlerOptionsSchema, mediatorOptionsSchema, onEmit } from './mediator-options.js'
import type { HandlerOptions, MediatorOptions } from './mediator-options.js'
import type { MediatorStats } from './mediator-stats.js'
import type { MediatorStream } from './mediator-stream.js'
import { parseOptions } from './options.js'
import { assertScopeOption } from './scope.js'
import { Startup } from './startup.js'
import type { StreamEndHook } from './stream-end.js'

/** Binds the handlers and events of one module. */
export type Mapper = (mediator: StreamingMediator) => void | Promise<void>

/** Runs commands as streams and their events beside them. Needs no server. */
export class StreamingMediator implements MediatorCalls {
  readonly #calls: CallRunner
  readonly #startup: Startup
  readonly #settings: StreamSettings
  readonly #closeGraceMs: number

  /** @throws MEDIATOR_ERR_INVALID_OPTIONS */
  constructor ({ logger, messageBroker, brokerPolicy = {}, scope, ...given }: MediatorOptions = {}) {
    const options = parseOptions('StreamingMediator', mediatorOptionsSchema, given)
    const { eventDelivery, eventOrder, maxStreamMs = Infinity, closeGraceMs, maxConcurrentEventHandlers: concurrency, ...rest } = options
    assertScopeOption('StreamingMediator', scope)
    if (messageBroker !== undefined && typeof messageBroker?.publish !== 'function') {
      throw new InvalidOptionsError('StreamingMediator', 'messageBroker must have a method publish')
    }
    if (brokerPolicy === null || typeof brokerPolicy !== 'object') throw new InvalidOptionsError('StreamingMediator', 'brokerPolicy must be an object')
    const policy = resolveEventHandlerOptions('messageBroker', brokerPolicy)
    const log = logger ?? createDefaultLogger()
    const broker = messageBroker === undefined ? undefined : { broker: messageBroker, options: policy }
    this.#calls = new CallRunner({ ...rest, concurrency, eventOrder, log, broker, createScope: scope, onEmit: given[onEmit] })
    this.#startup = new Startup(log, () => {
      const [defined] = definedTopics()
      if (broker === undefined && defined !== undefined) throw new BrokerMissingError(defined[1], defined[0])
    })
    this.#settings = { eventDelivery, eventOrder, maxStreamMs }
    this.#closeGraceMs = closeGraceMs
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
    if (this.#calls.handlers.has(name)) throw new DuplicateHandlerError(name)
    const settings = { ...this.#settings, ...parseOptions(`"${name}" handler`, handlerOptionsSchema, options) }
    this.#calls.handlers.set(name, { handler: resolved, settings })
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
    assertNoGenerator(definition.name, handler)
    const policy = resolveEventHandlerOptions(definition.name, options as EventHandlerOptions)
    this.#calls.dispatcher.addHandler(definition, { name: handlerName(handler), handler: resolved, options: policy })
  }

  /**
   * Wraps all streams, sends and publishes that begin from now on. The behavior that was added first is the outermost.
   * @throws MEDIATOR_ERR_INVALID_BEHAVIOR
   */
  addBehavior (behavior: Behavior): void {
    if (typeof behavior !== 'function') throw new InvalidBehaviorError()
    // A new list, because calls that run have theirs.
    this.#calls.behaviors = [...this.#calls.behaviors, behavior]
  }

  /**
   * Calls a function that binds the handlers and events of a module, and throws what that throws. `ready` waits for one that is
   * asynchronous, and rejects where it does.
   */
  register (mapper: Mapper): Promise<void> {
    const mapping = Promise.resolve(mapper(this))
    this.#startup.addMapping(mapping)
    return mapping
  }

  /**
   * Adds a function that `ready` runs, in the order in which they were added.
   * @throws MEDIATOR_ERR_STARTED_ALREADY
   */
  onStartup (hook: Mapper): void {
    this.#startup.addHook(() => hook(this))
  }

  /**
   * Waits for the mappers, checks what can be known before anything runs, and runs the startup hooks. The plugin calls it when the app
   * gets ready. Can be called again.
   * @throws MEDIATOR_ERR_BROKER_MISSING when an event with a topic is defined and there is no message broker
   */
  ready (): Promise<void> {
    return this.#startup.ready()
  }

  /**
   * Adds a function that is told of each stream that is over: its handler has ended or was let go, its events have settled, its reply
   * is closed. Fastify's own hooks are not called when the reader of a stream leaves.
   * @throws MEDIATOR_ERR_INVALID_OPTIONS where it is no function
   */
  onStreamEnd (hook: StreamEndHook): void {
    if (typeof hook !== 'function') throw new InvalidOptionsError('onStreamEnd', 'the hook must be a function')
    this.#calls.endHooks.push(hook)
  }

  /** What runs at this moment. */
  stats (): MediatorStats {
    return this.#calls.stats()
  }

  /** Whether the command or query has a handler. */
  hasHandler (definition: CommandDefinition): boolean {
    return this.#calls.handlers.has(definition.name)
  }

  /**
   * Makes a stream of a command's progress. The handler starts when the stream is first read. The input is trusted: routes
   * check it, this does not.
   * @throws MEDIATOR_ERR_UNKNOWN_COMMAND at once
   */
  stream<D extends CommandDefinition> (definition: D, input: InputOf<D>, options?: StreamOptions): MediatorStream<D> {
    return this.#calls.app.stream(definition, input, options)
  }

  /** Runs a command to its end and resolves its result; progress is dropped. Rejects as `stream(…).result` does. */
  async send<D extends CommandDefinition> (definition: D, input: InputOf<D>, options?: StreamOptions): Promise<ResultOf<D>> {
    return await this.#calls.app.send(definition, input, options)
  }

  /**
   * Hands an event to its handlers and, if it has a topic, to the message broker, and resolves when these have settled, with what they
   * emitted.
   * @throws MEDIATOR_ERR_EVENT_HANDLER_FAILED with what they threw as its `cause`, MEDIATOR_ERR_SHUTTING_DOWN after `close`
   */
  async publish<E extends EventDefinition> (definition: E, payload: PayloadOf<E>, options?: CallOptions): Promise<void> {
    await this.#calls.app.publish(definition, payload, options)
  }

  /**
   * Takes no new streams, gives those that run and their events `closeGraceMs` to finish, then ends them with reason
   * `shutdown`. Events that could not be handled by then are dropped and logged with their number. Can be called again.
   */
  close (): Promise<void> {
    return this.#calls.close(this.#closeGraceMs)
  }
}
