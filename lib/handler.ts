import type { CommandDefinition, InputOf, ProgressOf, ResultOf } from './definition.js'
import type { Emit } from './event.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'

/** What a handler gets beside its input. */
export interface HandlerContext {
  /** Emits a domain event, whose handlers run beside the stream. @throws MEDIATOR_ERR_TOO_MANY_EVENTS at 10,000 in one step */
  readonly emit: Emit
  /** Aborted when the stream ends before its handler is done; its `reason` is a `StreamAbortedError`. */
  readonly signal: AbortSignal
  /** Carries the stream's id and its command's name. */
  readonly log: Logger
  readonly streamId: string
  /** The mediator, for calls of this handler. */
  readonly mediator: MediatorCalls
  /** For a query that runs again on a reconnect: the number of the last frame that the client has seen. */
  readonly resumeAfter: number | undefined
}

// A handler whose result may be null need not return anything.
type Returned<D extends CommandDefinition> = null extends ResultOf<D> ? ResultOf<D> | void | undefined : ResultOf<D>

/** What a streaming handler yields: progress, or `undefined`, which is no frame but still a step whose events are dispatched. */
type Yielded<D extends CommandDefinition> = ProgressOf<D> | undefined

/** A handler of a definition with progress: a generator function, or one that returns an async iterable (whose return value counts). */
export type StreamingHandler<D extends CommandDefinition> = (input: InputOf<D>, context: HandlerContext) =>
  | AsyncGenerator<Yielded<D>, Returned<D>, void>
  | Generator<Yielded<D>, Returned<D>, void>
  | AsyncIterable<Yielded<D>, Returned<D>, void>
  | Promise<AsyncIterable<Yielded<D>, Returned<D>, void>>

/** A handler without progress: its value is the result. */
export type RegularHandler<D extends CommandDefinition> = (input: InputOf<D>, context: HandlerContext) => Returned<D> | Promise<Returned<D>>

/** The handler of a definition: streaming where `progress` is declared, else regular. */
export type Handler<D extends CommandDefinition> = [D['progress']] extends [undefined] ? RegularHandler<D> : StreamingHandler<D>

/** Any handler, as the mediator keeps it: what it returns decides whether it streams. */
export type AnyHandler = (input: unknown, context: HandlerContext) => unknown

/**
 * The iterator of what a handler returned, or undefined where that is a plain value. Arrays and strings can be iterated
 * too, but are results: of the synchronous kind only generators stream.
 */
export function iteratorOf (returned: unknown): AsyncIterator<unknown, unknown> | undefined {
  if (returned === null || typeof returned !== 'object') return undefined
  if (Symbol.asyncIterator in returned) return (returned as AsyncIterable<unknown>)[Symbol.asyncIterator]()
  if (Symbol.iterator in returned && 'next' in returned) return delegate(returned as Generator)
  return undefined
}

// `yield *` gives a synchronous generator the meaning that `for await` gives it: yielded promises are awaited.
async function * delegate (generator: Generator): AsyncGenerator<unknown, unknown, unknown> {
  return yield * generator
}
