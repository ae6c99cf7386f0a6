import { beginUnder } from './breaker.js'
import type { Breaker, BreakerReport } from './breaker.js'
import type { CommandDefinition, InputOf, ProgressOf } from './definition.js'
import { EventHandlerTimeoutError } from './errors.js'
import { handlerFunctionOf, handlerName } from './handler-class.js'
import { discard, extendContext, iteratorOf, primed, streamOf } from './handler.js'
import type { AnyHandler, Handler, HandlerContext } from './handler.js'
import { logThrown } from './logger.js'

/** What the reader of a stream has got already. */
export interface Delivered<Progress = unknown> {
  /** How many values were yielded before the failure. */
  readonly count: number
  /** The last of them; undefined when there was none. */
  readonly last: Progress | undefined
}

/** What the fallback of a command's handler gets beside its input. */
export interface FallbackContext<D extends CommandDefinition = CommandDefinition> extends HandlerContext {
  /** What the client has from the primary: nothing is repeated unless the fallback does it. */
  readonly delivered: Delivered<ProgressOf<D>>
}

/** The fallback of a command's handler. */
export type FallbackHandler<D extends CommandDefinition> = (input: InputOf<D>, context: FallbackContext<D>) => ReturnType<Handler<D>>

/** Options of {@link withFallback}. */
export interface FallbackOptions {
  /** Which failures the fallback is for; the others are thrown, and do not count for the breaker. @default all of them */
  readonly on?: (error: unknown) => boolean
  /** Watches the primary from its start to its end. While it is open, the fallback runs at once. */
  readonly breaker?: Breaker
}

type HandlerFunction<Subject = any, Context = any, Returned = unknown> = (subject: Subject, context: Context) => Returned
type HandlerOrClass<Subject, Context, Returned> =
  | HandlerFunction<Subject, Context, Returned>
  | (new (...args: any[]) => { handle: HandlerFunction<Subject, Context, Returned> })
type ProgressIn<Returned> = Awaited<Returned> extends infer R
  ? R extends AsyncIterable<infer Progress, any, any> | Generator<infer Progress, any, any> ? Exclude<Progress, undefined> : never
  : never
// A primary that takes no context says nothing about it.
type ContextAfter<Context, Returned> = unknown extends Context
  ? HandlerContext & { readonly delivered: Delivered<ProgressIn<Returned>> }
  : Context extends HandlerContext ? Context & { readonly delivered: Delivered<ProgressIn<Returned>> } : Context

/**
 * The handler that runs another one when the first has failed, for commands and for events. What the first had yielded by then
 * stays with the client; the fallback of a command learns of it as `context.delivered`. A stream that is aborted has no fallback.
 * @throws MEDIATOR_ERR_INVALID_HANDLER
 */
export function withFallback<Subject, Context, First, Second> (
  primary: HandlerOrClass<Subject, Context, First>,
  fallback: HandlerOrClass<Subject, ContextAfter<NoInfer<Context>, NoInfer<First>>, Second>,
  options?: FallbackOptions
): HandlerFunction<Subject, Context, First | Second>
export function withFallback (primary: unknown, fallback: unknown, { on = () => true, breaker }: FallbackOptions = {}): HandlerFunction {
  const name = handlerName(primary)
  const first = handlerFunctionOf(name, primary) as AnyHandler
  const second = handlerFunctionOf(handlerName(fallback), fallback) as AnyHandler

  // Throws where the fallback is not for this failure. That a stream was aborted says nothing about the primary, and must not open a
  // breaker.
  const judge = (error: unknown, context: HandlerContext, report: BreakerReport): void => {
    let isForFallback = false
    try {
      isForFallback = !context.signal.aborted && on(error)
    } finally {
      if (isForFallback) report.failed(error)
      else report.succeeded()
    }
    if (!isForFallback) throw error
    logFallback(error, context)
  }
  const logFallback = (error: unknown, { log }: HandlerContext): void => logThrown(log, 'warn', error, { handler: name }, 'handler failed, its fallback runs')
  // That an event handler took too long is a failure like any other, though its attempt has no time left for the fallback.
  const onAbort = (reason: unknown, report: BreakerReport): void => {
    if (reason instanceof EventHandlerTimeoutError) report.failed(reason)
    else report.succeeded()
  }

  async function * stream (
    returned: unknown, steps: AsyncIterator<unknown, unknown>, input: unknown, context: HandlerContext, report: BreakerReport
  ): AsyncGenerator<unknown, unknown, void> {
    let { count, last } = deliveredBefore(context)
    let left = true
    try {
      yield
      for (;;) {
        left = false
        const step = await steps.next()
        if (step.done) return step.value
        left = true
        if (step.value !== undefined) {
          count++
          last = step.value
        }
        yield step.value
      }
    } catch (error) {
      judge(error, context, report)
    } finally {
      report.succeeded()
      if (left) {
        await steps.return?.()
        discard(returned)
      }
    }
    return yield * streamOf(second, input, extendContext(context, { delivered: { count, last } }))
  }

  return async function handleOrFallBack (input: unknown, context: HandlerContext): Promise<unknown> {
    let report: BreakerReport
    try {
      report = await beginUnder(breaker, context, onAbort)
    } catch (error) {
      context.signal.throwIfAborted()
      logFallback(error, context)
      return await second(input, withDelivered(context))
    }
    try {
      const returned = await first(input, context)
      // Nobody reads what an event handler returns.
      const steps = isOfCommand(context) ? iteratorOf(returned) : undefined
      if (steps !== undefined) return primed(stream(returned, steps, input, context, report))
      report.succeeded()
      return returned
    } catch (error) {
      judge(error, context, report)
      return await second(input, withDelivered(context))
    }
  }
}

function deliveredBefore (context: HandlerContext): Delivered {
  return (context as FallbackContext).delivered ?? { count: 0, last: undefined }
}

function withDelivered (context: HandlerContext): HandlerContext {
  return isOfCommand(context) ? extendContext(context, { delivered: deliveredBefore(context) }) : context
}

// The context of an event handler has no stream of its own to tell of.
function isOfCommand (context: HandlerContext): boolean {
  return 'streamId' in context
}
