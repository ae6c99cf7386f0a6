import type { Caller } from './caller.js'
import type { Logger } from './logger.js'
import type { Scope } from './scope.js'

/** Options of every call of the mediator. */
export interface CallOptions {
  /** Whom the call is made for: `context.caller` of its handlers. @default that of the handler which makes the call, if one does */
  readonly caller?: Caller | undefined
  /** The parent of the call's logger. @default the mediator's */
  readonly log?: Logger | undefined
  /**
   * Makes the scope in which handler classes are resolved, when it is first needed; it is disposed when the call and all that it has
   * called and emitted have settled.
   * @default that of the handler which makes the call, if one does, else the mediator's
   */
  readonly scope?: (() => Scope) | undefined
}

/** Options of `mediator.stream` and `mediator.send`. */
export interface StreamOptions extends CallOptions {
  /** Ends the stream with reason `cancelled` when it aborts. */
  readonly signal?: AbortSignal | undefined
  /** Told to a query's handler as `context.resumeAfter`. */
  readonly resumeAfter?: number | undefined
  /** Whose stream it is, for `maxStreamsPerOwner`. Calls that its handler makes are nobody's, unless they say so. */
  readonly owner?: string | undefined
  /** @internal The id of a stream that is kept, whose log was opened first. */
  readonly streamId?: string | undefined
}

/** How the events of a stream relate to its progress and to each other. */
export interface EventDelivery {
  /**
   * `'overlap'` tells progress at once, while its events run; `'before-progress'` when all that was emitted by then has been
   * handled.
   * @default 'overlap'
   */
  readonly eventDelivery: 'overlap' | 'before-progress'
  /**
   * `'sequential'` runs the event handlers of one stream one after the other, in the order of the emits, and leaves other
   * streams alone.
   * @default 'parallel'
   */
  readonly eventOrder: 'parallel' | 'sequential'
}

/** What holds for the streams of one command. */
export interface StreamSettings extends EventDelivery {
  /** How long a stream may run, in milliseconds; `Infinity` for ever. */
  readonly maxStreamMs: number
}
