import { Type } from '@sinclair/typebox'
import type { Static, TSchema } from '@sinclair/typebox'
import { assertName, isSchema } from './definition.js'
import { InvalidDefinitionError, InvalidOptionsError } from './errors.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import { parseOptions } from './options.js'

/** An event, made by {@link defineEvent}: a fact that a handler emits and that event handlers act on. */
export interface EventDefinition<Name extends string = string, Payload extends TSchema = TSchema> {
  readonly kind: 'event'
  /** In the past tense: `file.processed`. */
  readonly name: Name
  readonly payload: Payload
}

/** The payload that an event carries. */
export type PayloadOf<E extends EventDefinition> = Static<E['payload']>

/** One emitted event, as its handlers get it. */
export interface EmittedEvent<E extends EventDefinition = EventDefinition> {
  readonly name: E['name']
  readonly payload: PayloadOf<E>
}

/** What an event handler gets beside the event. */
export interface EventContext {
  /** Aborted by the handler's own `timeoutMs`, and when the mediator closes and its grace is over; by nothing else. */
  readonly signal: AbortSignal
  /**
   * Emits a further event, which belongs to the same stream or publish. Its handlers start when this handler has settled.
   * @throws MEDIATOR_ERR_EVENT_DEPTH when events that emit events go deeper than `maxEventDepth`
   */
  readonly emit: Emit
  /**
   * The mediator, for calls of this handler: while one is in flight, the handler lends its permit to the events of that call,
   * so that it cannot wait for itself. A call through `app.mediator` queues behind this handler instead.
   */
  readonly mediator: MediatorCalls
  /** Carries the event's name and, where the event belongs to a stream, `streamId` and `command`. */
  readonly log: Logger
}

/** A side effect of an event. What its failure does is its policy's to say. */
export type EventHandler<E extends EventDefinition = EventDefinition> = (event: EmittedEvent<E>, context: EventContext) => unknown

/** What happens to a failing event handler. */
export interface EventHandlerOptions<E extends EventDefinition = EventDefinition> {
  /** How many times it runs again, after 100 ms, doubled each time up to 30 s, with jitter. @default 0 */
  readonly retries?: number
  /** How long one attempt may take, in milliseconds, before its `signal` aborts and it counts as failed. @default no limit */
  readonly timeoutMs?: number
  /**
   * After the last attempt: `'fail'` fails the stream or publish, `'log'` logs and goes on. A function decides itself: what it
   * throws fails the stream, else the failure is dealt with.
   * @default 'fail'
   */
  readonly onError?: 'fail' | 'log' | ((error: unknown, event: EmittedEvent<E>, context: EventContext) => unknown)
}

/** The options of an event handler with their defaults filled in. */
export interface ResolvedEventHandlerOptions {
  readonly retries: number
  readonly timeoutMs: number | undefined
  readonly onError: NonNullable<EventHandlerOptions['onError']>
}

const policySchema = Type.Object({
  retries: Type.Integer({ minimum: 0, maximum: 100, default: 0 }),
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }))
})

/** Checks the options of an event handler and fills in their defaults. @throws MEDIATOR_ERR_INVALID_OPTIONS */
export function resolveEventHandlerOptions (name: string, { onError = 'fail', ...given }: EventHandlerOptions): ResolvedEventHandlerOptions {
  const subject = `"${name}" event handler`
  const { retries, timeoutMs } = parseOptions(subject, policySchema, given)
  if (onError !== 'fail' && onError !== 'log' && typeof onError !== 'function') {
    throw new InvalidOptionsError(subject, "onError must be 'fail', 'log' or a function")
  }
  return { retries, timeoutMs, onError }
}

/** Records an event; its handlers start after the current step of the emitting handler (its next yield, return or throw). */
export type Emit = <E extends EventDefinition>(definition: E, payload: PayloadOf<E>) => void

/**
 * Defines a domain event.
 * @throws MEDIATOR_ERR_INVALID_DEFINITION when the name or the schema cannot work.
 */
export function defineEvent<const Name extends string, Payload extends TSchema> (
  { name, payload }: { readonly name: Name, readonly payload: Payload }
): EventDefinition<Name, Payload> {
  assertName(name)
  if (!isSchema(payload)) throw new InvalidDefinitionError(name, 'needs a TypeBox schema as its payload')
  return Object.freeze({ kind: 'event', name, payload })
}

/** Refuses what was not made by `defineEvent`, before an event of no name is lost. */
export function assertEvent (definition: EventDefinition): void {
  if (definition?.kind !== 'event') throw new InvalidDefinitionError(String((definition as { name?: unknown } | undefined)?.name), 'is no event: make it with defineEvent')
}
