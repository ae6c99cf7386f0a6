import type { Static, TSchema } from '@sinclair/typebox'
import { assertName, isSchema } from './definition.js'
import { InvalidDefinitionError } from './errors.js'
import type { Logger } from './logger.js'

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
  /** Aborted when the mediator closes and its grace is over. */
  readonly signal: AbortSignal
  /** Carries the event's name and, where the event belongs to a stream, `streamId` and `command`. */
  readonly log: Logger
}

/** A side effect of an event. Its failure fails the stream that emitted the event. */
export type EventHandler<E extends EventDefinition = EventDefinition> = (event: EmittedEvent<E>, context: EventContext) => unknown

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
