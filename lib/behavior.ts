import type { CommandDefinition } from './definition.js'
import { InvalidBehaviorError } from './errors.js'
import type { Emit, EventDefinition } from './event.js'
import { extendContext, streamOf, withInner } from './handler.js'
import type { AnyHandler, CallContext, HandlerContext } from './handler.js'

/** A command that is about to run, as a behavior sees it: for `stream` and `send` alike. */
export interface StreamCall {
  readonly kind: 'stream'
  readonly definition: CommandDefinition
  readonly input: unknown
  readonly context: HandlerContext
}

/** An event that is about to be published. Its payload is the input; it has no progress and no result. */
export interface PublishCall {
  readonly kind: 'publish'
  readonly definition: EventDefinition
  readonly input: unknown
  readonly context: CallContext
}

/** What a behavior is wrapped around. */
export type BehaviorCall = StreamCall | PublishCall

/** What a behavior may change for the behaviors after it and for the handler. */
export interface CallChanges {
  /** @default the input as it is */
  readonly input?: unknown
  /** Stands in for the `emit` of a stream's context, to see the events of its handler, or to change them. */
  readonly emit?: Emit
}

/**
 * Runs the behaviors after this one, and then the handler: yields its progress and returns its result. Nothing runs before it is
 * read. Called again, it runs them again.
 */
export type Next = (changes?: CallChanges) => AsyncGenerator<unknown, unknown, void>

/** Wraps streams, sends and publishes: whatever it yields is progress, what it returns is the result, and what it throws is the failure. */
export type Behavior = (call: BehaviorCall, next: Next) => AsyncGenerator<unknown, unknown, void>

/** A handler inside of behaviors, the first of which is the outermost. */
export function withBehaviors (behaviors: readonly Behavior[], call: Pick<BehaviorCall, 'kind' | 'definition'>, handler: AnyHandler): AnyHandler {
  const layer = (index: number, input: unknown, context: HandlerContext, onEnd?: () => void): AsyncGenerator<unknown, unknown, void> => {
    const behavior = behaviors[index]
    if (behavior === undefined) return streamOf(handler, input, context, onEnd)
    return withInner(open => {
      const returned = behavior({ ...call, input, context } as BehaviorCall, changes => {
        const { emit } = changes ?? {}
        const changed = changes !== undefined && 'input' in changes ? changes.input : input
        return open(onInnerEnd => layer(index + 1, changed, emit === undefined ? context : extendContext(context, { emit }), onInnerEnd))
      })
      assertGenerator(returned)
      return returned
    }, onEnd)
  }
  return (input, context) => layer(0, input, context)
}

function assertGenerator (returned: unknown): asserts returned is AsyncGenerator {
  if (returned !== null && typeof returned === 'object' && Symbol.asyncIterator in returned) return
  // What an async function throws must not end the process beside the error that says what is wrong.
  Promise.resolve(returned).catch(() => {})
  throw new InvalidBehaviorError()
}
