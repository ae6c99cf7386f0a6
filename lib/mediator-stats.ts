/** Figures of what runs in a mediator at this moment. */
export interface MediatorStats {
  /** Streams that have started and not settled. */
  readonly streams: number
  /** How many owners these have, as far as the option `owner` said whose they are. */
  readonly owners: number
  /** Handlers that go on although their stream has ended, because they ignore its signal. */
  readonly detachedHandlers: number
  /** Runs of event handlers that have begun and not ended; those that wait for calls of their own count as well. */
  readonly runningEventHandlers: number
  /** Runs of event handlers that wait for their turn. */
  readonly waitingEventHandlers: number
}
