import { Readable } from 'node:stream'
import type { Caller } from './caller.js'
import type { CommandDefinition, InputOf, ProgressOf, ResultOf } from './definition.js'
import type { Emit } from './event.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import type { Scope } from './scope.js'

/** What every call of the mediator knows. */
export interface CallContext {
  /** Whom the call is made for: what the route's option `caller` returned; inherited by the calls of `mediator`. */
  readonly caller: Caller | undefined
  /** Carries the stream's id and its command's name, or the event's name. */
  readonly log: Logger
  /** The mediator, for calls of this handler. */
  readonly mediator: MediatorCalls
  /** Where handler classes are resolved. Inherited by the calls of `mediator`, and disposed when all of them have settled. */
  readonly scope: Scope
}

/** What a handler gets beside its input. Most members are made when they are read: a copy (`{ ...context }`) has not all of them. */
export interface HandlerContext extends CallContext {
  /** Emits an event, whose handlers run beside the stream. @throws MEDIATOR_ERR_TOO_MANY_EVENTS at 10,000 in one step */
  readonly emit: Emit
  /** Aborted when the stream ends before its handler is done; its `reason` is a `StreamAbortedError`. */
  readonly signal: AbortSignal
  readonly streamId: string
  /** For a query that runs again on a reconnect: the number of the last frame that the client has seen. */
  readonly resumeAfter: number | undefined
}

// A handler whose result may be null need not return anything.
type Returned<D extends CommandDefinition> = null extends ResultOf<D> ? ResultOf<D> | void | undefined : ResultOf<D>

/** What a streaming handler yields: progress, or `undefined`, which is no frame but still a step whose events are dispatched. */
type Yielded<D extends CommandDefinition> = ProgressOf<D> | undefined

type StreamingReturn<D extends CommandDefinition> =
  | AsyncGenerator<Yielded<D>, Returned<D>, void>
  | Generator<Yielded<D>, Returned<D>, void>
  | AsyncIterable<Yielded<D>, Returned<D>, void>
  | Promise<AsyncIterable<Yielded<D>, Returned<D>, void>>

type HandlerReturn<D extends CommandDefinition> = [D['progress']] extends [undefined] ? Returned<D> | Promise<Returned<D>> : StreamingReturn<D>

/** A handler of a definition with progress: a generator function, or one that returns an async iterable (whose return value counts). */
export type StreamingHandler<D extends CommandDefinition> = (input: InputOf<D>, context: HandlerContext) => StreamingReturn<D>

/** A handler without progress: its value is the result. */
export type RegularHandler<D extends CommandDefinition> = (input: InputOf<D>, context: HandlerContext) => Returned<D> | Promise<Returned<D>>

/** The handler of a definition: streaming where `progress` is declared, else regular. */
export type Handler<D extends CommandDefinition> = [D['progress']] extends [undefined] ? RegularHandler<D> : StreamingHandler<D>

/** A class whose instances handle a command. One is resolved for each stream. */
export type HandlerClass<D extends CommandDefinition> = new (...args: any[]) => { handle: Handler<D> | RegularHandler<D> }

/** What a handler in a chain gets: {@link HandlerContext}, and the way on. */
export interface ChainContext<D extends CommandDefinition> extends HandlerContext {
  /**
   * Hands the input on, changed or as it is: `return yield * next()`, or `return await next()` where the command has no progress.
   * @throws MEDIATOR_ERR_CHAIN_END after the last handler
   */
  readonly next: (input?: InputOf<D>) => [D['progress']] extends [undefined] ? Promise<ResultOf<D>> : AsyncGenerator<ProgressOf<D>, ResultOf<D>, void>
}

/** One of several handlers of a command, which handles the input or hands it on. */
export type ChainHandler<D extends CommandDefinition> = (input: InputOf<D>, context: ChainContext<D>) => HandlerReturn<D>

/** A class whose instances are handlers in a chain. */
export type ChainHandlerClass<D extends CommandDefinition> = new (...args: any[]) => { handle: ChainHandler<D> }

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

/** Ends an iterable that will not be read. A Readable's iterator is a generator: returned before its first step, it leaves its stream open. */
export function discard (iterable: unknown): void {
  if (iterable instanceof Readable) iterable.on('error', () => {}).destroy()
}

/**
 * Any handler as a generator: one that does not stream yields nothing and returns its value. A handler is not started, and what it
 * returned is not read, when the stream has been aborted.
 */
export async function * streamOf (
  handler: AnyHandler, input: unknown, context: HandlerContext, onEnd = (): void => {}
): AsyncGenerator<unknown, unknown, void> {
  // A publish has no signal: nothing aborts it.
  const signal = context.signal as AbortSignal | undefined
  try {
    signal?.throwIfAborted()
    let returned = handler(input, context)
    let iterator = iteratorOf(returned)
    if (iterator === undefined) {
      returned = await returned
      iterator = iteratorOf(returned)
      if (iterator === undefined) return returned
    }
    if (signal?.aborted) {
      await iterator.return?.()
      discard(returned)
      throw signal.reason
    }
    const steps = iterator
    return yield * { [Symbol.asyncIterator]: () => steps }
  } finally {
    onEnd()
  }
}

type Inner = AsyncGenerator<unknown, unknown, void>

/** Makes a generator inside of another one, and tells it what to call when it has ended by itself. */
export type OpenInner = (make: (onEnd: () => void) => Inner) => Inner

/** Runs a generator that opens others, and ends those which it leaves. */
export async function * withInner (run: (open: OpenInner) => Inner, onEnd = (): void => {}): Inner {
  // Those that have ended are forgotten, because a stream that lives for days may run its handler again and again.
  const opened = new Set<Inner>()
  try {
    return yield * run(make => {
      const inner = make(() => { opened.delete(inner) })
      opened.add(inner)
      return inner
    })
  } finally {
    try {
      await returnAll(opened)
    } finally {
      onEnd()
    }
  }
}

// All are returned before one of them is waited for, and one that fails to end does not keep the others.
async function returnAll (generators: Iterable<Inner>): Promise<void> {
  const ends = await Promise.allSettled(Array.from(generators, generator => generator.return(undefined)))
  const failed = ends.find(end => end.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** Runs a generator up to its first `yield`, which nobody gets: from then on its `finally` runs, also when it is never read. */
export function primed<T extends AsyncGenerator<unknown, unknown, void>> (generator: T): T {
  void generator.next()
  return generator
}

/** A context with further members. Its getters are left alone, so that nothing is made which the handler does not use. */
export function extendContext<C extends object, More extends object> (context: C, more: More): C & More {
  return Object.create(context, Object.getOwnPropertyDescriptors(more)) as C & More
}
