import { Type } from '@sinclair/typebox'
import type { Static, TSchema } from '@sinclair/typebox'
import { assertName, isSchema } from './definition.js'
import { InvalidDefinitionError, InvalidOptionsError, InvalidPayloadError } from './errors.js'
import type { CallContext } from './handler.js'
import { maxTimeoutMs } from './max-timeout.js'
import type { MessageEnvelope } from './message-broker.js'
import { parseOptions } from './options.js'
import { compileCheck, describeErrors } from './schema-check.js'
import { compileSerializer } from './serializer.js'

/** An event, made by {@link defineEvent}: a fact that a handler emits and that event handlers act on. */
export interface EventDefinition<Name extends string = string, Payload extends TSchema = TSchema> {
  readonly kind: 'event'
  /** In the past tense: `file.processed`. */
  readonly name: Name
  readonly payload: Payload
  /** Where the message broker publishes it; undefined for a domain event, which stays in the process. */
  readonly topic: string | undefined
  /** Makes an item for the `events` of a handler class that collects them. */
  create (payload: Static<Payload>): EventItem
}

/** An event that a handler class has collected, made by `create` of its definition. */
export interface EventItem<E extends EventDefinition = EventDefinition> {
  readonly definition: E
  readonly payload: PayloadOf<E>
}

/** The payload that an event carries. */
export type PayloadOf<E extends EventDefinition> = Static<E['payload']>

/** One emitted event, as its handlers get it. */
export interface EmittedEvent<E extends EventDefinition = EventDefinition> {
  readonly name: E['name']
  readonly payload: PayloadOf<E>
  /** What the broker gets of an event with a topic. */
  readonly envelope?: MessageEnvelope
}

/** What an event handler gets beside the event. Its `log` carries the event's name and, in a stream, `streamId` and `command`. */
export interface EventContext extends CallContext {
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
  readonly mediator: CallContext['mediator']
}

/** A side effect of an event. What its failure does is its policy's to say. */
export type EventHandler<E extends EventDefinition = EventDefinition> = (event: EmittedEvent<E>, context: EventContext) => unknown

/** A class whose instances handle an event. One is resolved for each event. */
export type EventHandlerClass<E extends EventDefinition = EventDefinition> = new (...args: any[]) => { handle: EventHandler<E> }

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
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: maxTimeoutMs }))
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

/**
 * Records an event; its handlers start after the current step of the emitting handler (its next yield, return or throw). One with a
 * topic is checked and gets its envelope at once.
 * @throws MEDIATOR_ERR_INVALID_PAYLOAD, MEDIATOR_ERR_BROKER_MISSING for an event with a topic
 */
export type Emit = <E extends EventDefinition>(definition: E, payload: PayloadOf<E>) => void

/**
 * Defines an event. With a `topic` it is a notification event, which is also published to the mediator's message broker.
 * @throws MEDIATOR_ERR_INVALID_DEFINITION when the name, the topic or the schema cannot work.
 */
export function defineEvent<const Name extends string, Payload extends TSchema> (
  { name, payload, topic }: { readonly name: Name, readonly payload: Payload, readonly topic?: string }
): EventDefinition<Name, Payload> {
  assertName(name)
  if (!isSchema(payload)) throw new InvalidDefinitionError(name, 'needs a TypeBox schema as its payload')
  const definition: EventDefinition<Name, Payload> = Object.freeze({
    kind: 'event', name, payload, topic, create: (value: Static<Payload>) => ({ definition, payload: value })
  })
  if (topic !== undefined) {
    assertTopic(name, topic)
    plainPayloads.set(definition, compilePayload(name, payload))
    topics.set(topic, name)
  }
  return definition
}

const plainPayloads = new WeakMap<EventDefinition, (payload: unknown) => unknown>()
const topics = new Map<string, string>()

/**
 * The topics of all events that are defined in this process, each with the name of an event: a mediator without a broker can tell
 * before one is emitted.
 */
export function definedTopics (): ReadonlyMap<string, string> {
  return topics
}

/**
 * The payload of a notification event as what its JSON says, so that a broker gets the same whether it writes JSON or not. It is
 * frozen, because it is shared: by all attempts to publish it, and with the handlers of the event in this process.
 * @throws MEDIATOR_ERR_INVALID_PAYLOAD
 */
export function plainPayload (definition: EventDefinition, payload: unknown): unknown {
  const plain = plainPayloads.get(definition)
  if (plain === undefined) throw new InvalidDefinitionError(definition.name, 'was not made by defineEvent')
  try {
    return plain(payload)
  } catch (error) {
    throw new InvalidPayloadError(definition.name, (error as Error).message, { cause: error })
  }
}

/** Refuses what was not made by `defineEvent`, before an event of no name is lost. */
export function assertEvent (definition: EventDefinition): void {
  if (definition?.kind !== 'event') throw new InvalidDefinitionError(String((definition as { name?: unknown } | undefined)?.name), 'is no event: make it with defineEvent')
}

// The value of a CloudEvents attribute is a string without control characters.
const topicPattern = /^[^\p{C}\s](?:[^\p{C}]{0,253}[^\p{C}\s])?$/u

function assertTopic (name: string, topic: unknown): void {
  if (typeof topic !== 'string' || !topicPattern.test(topic)) {
    throw new InvalidDefinitionError(name, 'needs a topic of 1 to 255 printable characters, without spaces around it')
  }
}

function compilePayload (name: string, schema: TSchema): (payload: unknown) => unknown {
  try {
    const serialize = compileSerializer(schema, { safeIntegers: true })
    // A `toJSON` inside can make anything of a payload that was fine.
    const check = compileCheck(schema, { validateSchema: false, meta: false })
    return payload => {
      const plain: unknown = JSON.parse(serialize(payload))
      if (!check(plain)) throw new Error(`${describeErrors(check.errors!)}, after toJSON`)
      return deepFreeze(plain)
    }
  } catch (error) {
    throw new InvalidDefinitionError(name, `has a payload schema that cannot be compiled: ${(error as Error).message}`, { cause: error })
  }
}

function deepFreeze (value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value
  for (const member of Object.values(value)) deepFreeze(member)
  return Object.freeze(value)
}
