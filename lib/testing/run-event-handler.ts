import type { CallOptions } from '../call-options.js'
import { EventHandlerFailedError } from '../errors.js'
import type { EventDefinition, EventHandler, EventHandlerClass, EventHandlerOptions, PayloadOf } from '../event.js'
import type { LogRecord } from './log-record.js'
import { Recording } from './recording.js'
import type { RecordedEvent, RecordingOptions } from './recording.js'

/** Options of {@link runEventHandler}: those of the handler's policy, and these. */
export interface RunEventHandlerOptions<E extends EventDefinition = EventDefinition>
  extends Omit<CallOptions, 'log'>, RecordingOptions, EventHandlerOptions<E> {}

/** What was seen of an event handler. The lists fill while it runs. */
export interface EventHandlerRecord {
  /** Its follow-ups in the order of their emits, with those of its calls and of other event handlers; not the event itself. */
  readonly events: readonly RecordedEvent[]
  readonly logs: readonly LogRecord[]
}

/** An event handler that runs: a promise of what was seen of it in the end, with what was seen by now. */
export type RunningEventHandler = Promise<EventHandlerRecord> & EventHandlerRecord

/**
 * Runs an event handler without a server: publishes an event to it on a mediator of its own, under the policy of the options. Takes
 * whatever `addEventHandler` takes. The handler starts at once, or when `register` is done.
 *
 * Resolves when the handler, its follow-ups and its calls have settled. Rejects then, too, with what the handler threw, or with an
 * AggregateError where several handlers threw.
 */
export function runEventHandler<E extends EventDefinition> (
  definition: E,
  handler: EventHandler<E> | EventHandlerClass<E> | string | symbol,
  payload: PayloadOf<E>,
  { register, messageBroker, caller, scope, ...policy }: RunEventHandlerOptions<E> = {}
): RunningEventHandler {
  let published = false
  const recording = new Recording({ register, messageBroker }, ({ name }) => {
    if (published || name !== definition.name) return true
    published = true
    return false
  })
  const { events, logs, mediator } = recording
  const run = async (): Promise<EventHandlerRecord> => {
    mediator.addEventHandler(definition, handler, policy)
    await recording.run(async () => {
      try {
        await mediator.publish(definition, payload, { caller, scope })
      } catch (error) {
        throw error instanceof EventHandlerFailedError ? error.cause : error
      }
    })
    return { events, logs }
  }
  return Object.assign(run(), { events, logs })
}
