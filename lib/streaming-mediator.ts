import { Type } from '@sinclair/typebox'
import { serializersOf } from './definition.js'
import type { CommandDefinition, InputOf, ResultOf } from './definition.js'
import { DuplicateHandlerError, InvalidHandlerError, ShuttingDownError, UnknownCommandError } from './errors.js'
import { assertEvent } from './event.js'
import type { EventDefinition, EventHandler, PayloadOf } from './event.js'
import { EventDispatcher, EventScope } from './event-dispatcher.js'
import type { AnyHandler, Handler, RegularHandler } from './handler.js'
import { createDefaultLogger } from './logger.js'
import type { Logger } from './logger.js'
import { MediatorStream, detachAfterMs } from './mediator-stream.js'
import type { StreamHost, StreamOptions } from './mediator-stream.js'
import { parseOptions } from './options.js'

/** The options of a mediator, with their defaults. */
export const mediatorOptionsSchema = Type.Object({
  maxConcurrentEventHandlers: Type.Integer({ minimum: 1, default: 10 }),
  maxPendingEvents: Type.Integer({ minimum: 1, default: 100 }),
  closeGraceMs: Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, default: 5_000 })
})

/** Options of {@link StreamingMediator}. Unknown keys are refused. */
export interface MediatorOptions {
  /** How many event handlers run at once, over all streams; 1 is strictly in the order of the emits. @default 10 */
  readonly maxConcurrentEventHandlers?: number
  /** How many runs of event handlers one stream may have pending before its handler is not resumed. @default 100 */
  readonly maxPendingEvents?: number
  /** How long `close` waits for handlers and events, in milliseconds, before it ends them. @default 5000 */
  readonly closeGraceMs?: number
  /** @default pino at `warn`, to stderr */
  readonly logger?: Logger
}

/** Runs commands as streams and their events beside them. Needs no server. */
export class StreamingMediator {
  readonly #handlers = new Map<string, AnyHandler>()
  readonly #dispatcher: EventDispatcher
  readonly #streams = new Set<MediatorStream<CommandDefinition>>()
  readonly #host: StreamHost
  readonly #log: Logger
  readonly #closeGraceMs: number
  #onStreamsEnded: (() => void) | undefined
  #closing: Promise<void> | undefined

  /** @throws MEDIATOR_ERR_INVALID_OPTIONS */
  constructor ({ logger, ...given }: MediatorOptions = {}) {
    const options = parseOptions('StreamingMediator', mediatorOptionsSchema, given)
    this.#log = logger ?? createDefaultLogger()
    this.#closeGraceMs = options.closeGraceMs
    this.#dispatcher = new EventDispatcher(options.maxConcurrentEventHandlers)
    this.#host = {
      dispatcher: this.#dispatcher,
      maxPendingEvents: options.maxPendingEvents,
      streamStarted: stream => {
        if (this.#closing !== undefined) throw new ShuttingDownError()
        this.#streams.add(stream)
      },
      streamEnded: stream => {
        this.#streams.delete(stream)
        if (this.#streams.size === 0) this.#onStreamsEnded?.()
      }
    }
  }

  /**
   * Adds the handler of a command or query.
   * @throws MEDIATOR_ERR_DUPLICATE_HANDLER, MEDIATOR_ERR_INVALID_HANDLER, MEDIATOR_ERR_INVALID_DEFINITION
   */
  addHandler<D extends CommandDefinition> (definition: D, handler: Handler<D>): void
  addHandler<D extends CommandDefinition> (definition: D, handler: RegularHandler<D>): void
  addHandler (definition: CommandDefinition, handler: unknown): void {
    serializersOf(definition)
    assertFunction(definition.name, handler)
    if (this.#handlers.has(definition.name)) throw new DuplicateHandlerError(definition.name)
    this.#handlers.set(definition.name, handler as AnyHandler)
  }

  /**
   * Adds a handler of an event; an event may have several, which run beside each other.
   * @throws MEDIATOR_ERR_INVALID_HANDLER, MEDIATOR_ERR_INVALID_DEFINITION
   */
  addEventHandler<E extends EventDefinition> (definition: E, handler: EventHandler<E>): void {
    assertEvent(definition)
    assertFunction(definition.name, handler)
    this.#dispatcher.addHandler(definition, handler as EventHandler)
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
  stream<D extends CommandDefinition> (definition: D, input: InputOf<D>, { log = this.#log, ...options }: StreamOptions = {}): MediatorStream<D> {
    const handler = this.#handlers.get(definition.name)
    if (handler === undefined) throw new UnknownCommandError(definition.name)
    return new MediatorStream<D>({ ...options, definition, handler, input, log, host: this.#host })
  }

  /** Runs a command to its end and resolves its result; progress is dropped. Rejects as `stream(…).result` does. */
  async send<D extends CommandDefinition> (definition: D, input: InputOf<D>, options?: StreamOptions): Promise<ResultOf<D>> {
    return await this.stream(definition, input, options).result
  }

  /**
   * Hands an event to its handlers and resolves when they have settled.
   * @throws MEDIATOR_ERR_EVENT_HANDLER_FAILED with what they threw as its `cause`, MEDIATOR_ERR_SHUTTING_DOWN after `close`
   */
  async publish<E extends EventDefinition> (definition: E, payload: PayloadOf<E>): Promise<void> {
    if (this.#closing !== undefined) throw new ShuttingDownError()
    const scope = new EventScope(definition?.name, this.#dispatcher, () => this.#log)
    scope.emit(definition, payload)
    scope.seal()
    await scope.below(1)
    if (scope.failure !== undefined) throw scope.failure
  }

  /**
   * Takes no new streams, gives those that run and their events `closeGraceMs` to finish, then ends them with reason
   * `shutdown`. Events that could not be handled by then are dropped and logged with their number. Can be called again.
   */
  close (): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
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
