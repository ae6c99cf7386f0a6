import { InvalidHandlerError, SharedHandlerError } from './errors.js'
import type { Emit, EventItem } from './event.js'
import { discard, iteratorOf, primed } from './handler.js'
import { maxReturns } from './handler-run.js'
import { resolveIn } from './scope.js'
import type { Scope, ScopeTarget } from './scope.js'

/** Any handler of commands or events as a function of its input or event. */
type HandlerFunction = (subject: unknown, context: HandlerFunctionContext) => unknown

interface HandlerFunctionContext {
  readonly signal: AbortSignal
  readonly scope: Scope
  readonly emit: Emit
}

/** An instance of a handler class. */
interface HandlerInstance {
  handle (subject: unknown, context: object): unknown
}

/** One in the shape of python-cqrs: it collects its events, which are emitted after each of its steps. */
interface CollectingInstance extends HandlerInstance {
  readonly events: Iterable<EventItem>
  clearEvents (): void
}

// An instance that collects events can work for one stream at a time, whichever mediator it belongs to.
const collecting = new WeakSet<CollectingInstance>()

/**
 * The function that a handler given as a function, a class or a name stands for. Classes and names are resolved from the scope of
 * each run.
 * @throws MEDIATOR_ERR_INVALID_HANDLER
 */
export function handlerFunctionOf (owner: string, handler: unknown): HandlerFunction {
  if (typeof handler === 'string' || typeof handler === 'symbol' || isClass(handler)) return resolving(owner, handler)
  if (typeof handler === 'function') return handler as HandlerFunction
  throw new InvalidHandlerError(owner, handler === null ? 'null' : typeof handler)
}

/**
 * Refuses a generator function where nobody reads what is yielded: an event handler of this kind would never run.
 * @throws MEDIATOR_ERR_INVALID_HANDLER
 */
export function assertNoGenerator (owner: string, handler: unknown): void {
  const handle: unknown = isClass(handler) ? handler.prototype.handle : handler
  if (/GeneratorFunction\]$/.test(Object.prototype.toString.call(handle))) {
    throw new InvalidHandlerError(owner, 'a generator, whose yields nobody would read: write an event handler as a function')
  }
}

/** What a handler is called in a log. */
export function handlerName (handler: unknown): string {
  if (typeof handler === 'function') return handler.name === '' ? 'anonymous' : handler.name
  return String(handler)
}

function isClass (handler: unknown): handler is { new (): object, readonly prototype: { readonly handle?: unknown } } {
  if (typeof handler !== 'function') return false
  return typeof handler.prototype?.handle === 'function' || /^class\b/.test(Function.prototype.toString.call(handler))
}

function resolving (owner: string, target: ScopeTarget): HandlerFunction {
  const run = (instance: unknown, subject: unknown, context: HandlerFunctionContext): unknown => {
    assertInstance(owner, target, instance)
    return isCollecting(instance) ? collect(owner, instance, subject, context) : instance.handle(subject, context)
  }
  return function handle (subject, context) {
    const instance = resolveIn(context.scope, target)
    if (!isThenable(instance)) return run(instance, subject, context)
    return Promise.resolve(instance).then(resolved => {
      // Its stream, or its attempt at an event, may have ended meanwhile.
      context.signal.throwIfAborted()
      return run(resolved, subject, context)
    })
  }
}

function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

function assertInstance (owner: string, target: ScopeTarget, instance: unknown): asserts instance is HandlerInstance {
  if (typeof (instance as HandlerInstance | null | undefined)?.handle === 'function') return
  throw new InvalidHandlerError(owner, `${handlerName(target)}, which was resolved to something without a method "handle"`)
}

function isCollecting (instance: HandlerInstance): instance is CollectingInstance {
  return 'events' in instance && 'clearEvents' in instance && typeof instance.clearEvents === 'function'
}

function collect (owner: string, instance: CollectingInstance, subject: unknown, context: HandlerFunctionContext): unknown {
  if (collecting.has(instance)) throw new SharedHandlerError(owner)
  collecting.add(instance)
  const collector = new EventCollector(instance, context.emit)
  let iterator
  let returned
  try {
    returned = instance.handle(subject, context)
    iterator = iteratorOf(returned)
  } catch (error) {
    collector.end()
    throw error
  }
  return iterator === undefined ? collectValue(collector, returned) : primed(collectSteps(collector, iterator, returned))
}

async function collectValue (collector: EventCollector, returned: unknown): Promise<unknown> {
  let iterator
  let value
  try {
    value = await returned
    iterator = iteratorOf(value)
    if (iterator === undefined) return value
  } finally {
    if (iterator === undefined) collector.end()
  }
  return primed(collectSteps(collector, iterator, value))
}

async function * collectSteps (
  collector: EventCollector, iterator: AsyncIterator<unknown, unknown>, iterable: unknown
): AsyncGenerator<unknown, unknown, void> {
  let done = false
  try {
    yield
    for (;;) {
      done = true
      const step = await iterator.next()
      done = Boolean(step.done)
      collector.emitAll()
      if (done) return step.value
      yield step.value
    }
  } finally {
    try {
      if (!done) await endEarly(iterator, iterable)
    } finally {
      collector.end()
    }
  }
}

async function endEarly (iterator: AsyncIterator<unknown, unknown>, iterable: unknown): Promise<void> {
  // One that yields in its `finally` is asked again, as it is without collecting, but not for ever.
  for (let attempts = maxReturns; attempts > 0; attempts--) {
    const step = await iterator.return?.()
    if (step?.done !== false) break
  }
  discard(iterable)
}

/** Emits what an instance has collected, and lets go of it at its end. */
class EventCollector {
  readonly #instance: CollectingInstance
  readonly #emit: Emit

  constructor (instance: CollectingInstance, emit: Emit) {
    this.#instance = instance
    this.#emit = emit
  }

  emitAll (): void {
    const items = [...this.#instance.events]
    if (items.length === 0) return
    this.#instance.clearEvents()
    for (const { definition, payload } of items) this.#emit(definition, payload)
  }

  end (): void {
    collecting.delete(this.#instance)
    this.emitAll()
  }
}
