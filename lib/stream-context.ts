import type { Caller } from './caller.js'
import type { Emit } from './event.js'
import type { HandlerContext } from './handler.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import type { Scope } from './scope.js'

/** Where a context takes from what most handlers do not use: a signal and a child logger cost more than the rest of a short stream. */
interface ContextSource {
  readonly emit: Emit
  readonly signal: AbortSignal
  readonly log: Logger
  readonly scope: Scope
  readonly mediator: MediatorCalls
}

// Not a private member, which a context that is derived from this one could not read.
const source = Symbol('source')

/** What the handler of a stream gets beside its input. A class: an object literal with getters takes a hundred times as long to make. */
export class StreamContext implements HandlerContext {
  readonly streamId: string
  readonly resumeAfter: number | undefined
  readonly caller: Caller | undefined
  readonly [source]: ContextSource

  constructor (own: Pick<HandlerContext, 'streamId' | 'resumeAfter' | 'caller'>, from: ContextSource) {
    this.streamId = own.streamId
    this.resumeAfter = own.resumeAfter
    this.caller = own.caller
    this[source] = from
  }

  get emit (): Emit {
    return this[source].emit
  }

  get signal (): AbortSignal {
    return this[source].signal
  }

  get log (): Logger {
    return this[source].log
  }

  get scope (): Scope {
    return this[source].scope
  }

  get mediator (): MediatorCalls {
    return this[source].mediator
  }
}
