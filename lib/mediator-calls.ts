import type { CallOptions, StreamOptions } from './call-options.js'
import type { CommandDefinition, InputOf, ResultOf } from './definition.js'
import type { EventDefinition, PayloadOf } from './event.js'
import type { MediatorStream } from './mediator-stream.js'

/** What can be asked of a mediator: by an app, and by handlers through their context. */
export interface MediatorCalls {
  /**
   * Makes a stream of a command's progress. The handler starts when the stream is first read. The input is trusted: routes
   * check it, this does not.
   * @throws MEDIATOR_ERR_UNKNOWN_COMMAND at once
   */
  stream<D extends CommandDefinition> (definition: D, input: InputOf<D>, options?: StreamOptions): MediatorStream<D>

  /** Runs a command to its end and resolves its result; progress is dropped. Rejects as `stream(…).result` does. */
  send<D extends CommandDefinition> (definition: D, input: InputOf<D>, options?: StreamOptions): Promise<ResultOf<D>>

  /**
   * Hands an event to its handlers and, if it has a topic, to the message broker, and resolves when these have settled, with what they
   * emitted.
   * @throws MEDIATOR_ERR_EVENT_HANDLER_FAILED with what they threw as its `cause`, MEDIATOR_ERR_SHUTTING_DOWN after `close`
   */
  publish<E extends EventDefinition> (definition: E, payload: PayloadOf<E>, options?: CallOptions): Promise<void>
}
