import { discard, iteratorOf } from './handler.js'
import type { AnyHandler, HandlerContext } from './handler.js'

/** How long a handler has to end after its signal was aborted, in milliseconds, before it is reported and left to itself. */
export const detachAfterMs = 1_000

// A generator that yields in its `finally` is asked again to return, but not for ever.
export const maxReturns = 100

/** Who is told what a handler does. */
export interface HandlerObserver {
  onYield (value: unknown): void
  /** The handler runs no more. Told once, before `onReturn` and `onThrow`, and alone where it was stopped. */
  onEnd (): void
  onReturn (value: unknown): void
  onThrow (error: unknown): void
}

/** One handler at work, whatever it returns: a generator, another iterable, or a value. */
export class HandlerRun {
  readonly #command: string
  readonly #observer: HandlerObserver
  #iterator: AsyncIterator<unknown, unknown> | undefined
  #ended = false
  #stopping = false
  #onEnded: (() => void) | undefined

  constructor (command: string, observer: HandlerObserver) {
    this.#command = command
    this.#observer = observer
  }

  get ended (): boolean {
    return this.#ended
  }

  /** Calls the handler and takes its first step. */
  start (handler: AnyHandler, input: unknown, context: HandlerContext): void {
    try {
      const returned = handler(input, context)
      this.#iterator = iteratorOf(returned)
      if (this.#iterator !== undefined) this.#begin(returned)
      else Promise.resolve(returned).then(this.#onValue, this.#onThrow)
    } catch (error) {
      this.#onThrow(error)
    }
  }

  /** Takes the next step. At most one is in flight. */
  step (): void {
    try {
      Promise.resolve(this.#iterator!.next()).then(this.#onStep, this.#onThrow)
    } catch (error) {
      this.#onThrow(error)
    }
  }

  /** Makes the handler return. Resolves true when it has run its finally blocks, false when it does not end and is left to itself. */
  async stop (): Promise<boolean> {
    if (this.#ended) return true
    this.#stopping = true
    this.#return(maxReturns)
    // The observer of the return may have been told at once.
    if (this.#ended) return true
    return await new Promise<boolean>(resolve => {
      // Not unref'ed: somebody waits for the end, and it is near.
      const timer = setTimeout(resolve, detachAfterMs, false)
      this.#onEnded = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  }

  // A plain value is the result; a promise may still bring something that streams, such as an upstream's body.
  readonly #onValue = (value: unknown): void => {
    try {
      this.#iterator = iteratorOf(value)
    } catch (error) {
      this.#onThrow(error)
      return
    }
    if (this.#iterator === undefined) this.#onReturn(value)
    else this.#begin(value)
  }

  #begin (iterable: unknown): void {
    if (!this.#stopping) {
      this.step()
      return
    }
    this.#return(maxReturns)
    discard(iterable)
  }

  readonly #onStep = (step: IteratorResult<unknown, unknown>): void => {
    // A hand-written iterator can give anything, which `for await` refuses as well.
    if (step === null || typeof step !== 'object') {
      this.#onThrow(new TypeError(`The iterator of command "${this.#command}" gave ${String(step)} where { done, value } is expected`))
      return
    }
    let done, value
    try {
      ({ done, value } = step)
    } catch (error) {
      this.#onThrow(error)
      return
    }
    if (done) this.#onReturn(value)
    else this.#observer.onYield(value)
  }

  #onReturn (value: unknown): void {
    this.#end()
    this.#observer.onReturn(value)
  }

  readonly #onThrow = (error: unknown): void => {
    this.#end()
    this.#observer.onThrow(error)
  }

  // A hand-written iterator may end twice: by its `return`, and by the step that was in flight.
  #end (): void {
    if (this.#ended) return
    this.#ended = true
    this.#observer.onEnd()
    this.#onEnded?.()
  }

  // `return` queues behind a pending `next`: a generator that is blocked ends when its await does.
  #return (attempts: number): void {
    if (this.#iterator === undefined || this.#ended || attempts === 0) return
    let returned
    try {
      returned = this.#iterator.return?.()
    } catch (error) {
      this.#onThrow(error)
      return
    }
    // `catch`, because a hand-written step may throw when it is read.
    Promise.resolve(returned).then(step => {
      if (this.#ended) return
      if (step?.done !== false) this.#end()
      else this.#return(attempts - 1)
    }).catch(this.#onThrow)
  }
}
