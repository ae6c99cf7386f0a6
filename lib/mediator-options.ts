import { Type } from '@sinclair/typebox'
import type { EventDelivery, StreamSettings } from './call-options.js'
import type { EmittedEvent, EventHandlerOptions } from './event.js'
import type { Logger } from './logger.js'
import { maxTimeoutMs } from './max-timeout.js'
import type { MessageBroker } from './message-broker.js'
import type { Scope } from './scope.js'

const settingsSchema = {
  eventDelivery: Type.Union([Type.Literal('overlap'), Type.Literal('before-progress')]),
  eventOrder: Type.Union([Type.Literal('parallel'), Type.Literal('sequential')]),
  maxStreamMs: Type.Number({ minimum: 1 })
}

/** The options of a mediator, with their defaults. */
export const mediatorOptionsSchema = Type.Object({
  maxConcurrentEventHandlers: Type.Integer({ minimum: 1, default: 10 }),
  maxPendingEvents: Type.Integer({ minimum: 1, default: 100 }),
  maxEventDepth: Type.Integer({ minimum: 1, default: 16 }),
  eventDelivery: Type.Union(settingsSchema.eventDelivery.anyOf, { default: 'overlap' }),
  eventOrder: Type.Union(settingsSchema.eventOrder.anyOf, { default: 'parallel' }),
  maxStreams: Type.Integer({ minimum: 1, default: 20_000 }),
  maxStreamsPerOwner: Type.Integer({ minimum: 1, default: 100 }),
  maxStreamMs: Type.Optional(settingsSchema.maxStreamMs),
  eventSource: Type.String({ minLength: 1, format: 'uri-reference', default: '/mediator' }),
  closeGraceMs: Type.Integer({ minimum: 0, maximum: maxTimeoutMs, default: 5_000 })
})

/** The options of a command's handler. */
export const handlerOptionsSchema = Type.Partial(Type.Object(settingsSchema))

/** Options of a command's handler. Unknown keys are refused. @default those of the mediator */
export type HandlerOptions = Partial<StreamSettings>

/** The option by which the test kit is told of each event when it has been emitted. */
export const onEmit = Symbol('fastify-streaming-mediator.on-emit')

/** Options of {@link StreamingMediator}. Unknown keys are refused. */
export interface MediatorOptions extends Partial<EventDelivery> {
  /** How many event handlers run at once, over all streams; 1 is strictly in the order of the emits. @default 10 */
  readonly maxConcurrentEventHandlers?: number
  /** How many runs of event handlers one stream may have pending before its handler is not resumed. @default 100 */
  readonly maxPendingEvents?: number
  /** How deep events may emit events, or call commands that do. @default 16 */
  readonly maxEventDepth?: number
  /** How many streams may be open at once; the next is refused with MEDIATOR_ERR_TOO_MANY_STREAMS. @default 20000 */
  readonly maxStreams?: number
  /** How many of them one owner may have, if the call says who that is; then MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER. @default 100 */
  readonly maxStreamsPerOwner?: number
  /** How long a stream may run, in milliseconds, before it is ended with reason `deadline`. @default Infinity */
  readonly maxStreamMs?: number
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
  /** @internal */
  readonly [onEmit]?: (event: EmittedEvent) => void
}
