/** A promise that tells when it is first read, so that work can wait until somebody wants its result. */
export class LazyPromise<T> implements Promise<T> {
  readonly [Symbol.toStringTag] = 'LazyPromise'
  readonly #promise: Promise<T>
  readonly #onRead: () => void

  constructor (promise: Promise<T>, onRead: () => void) {
    this.#promise = promise
    this.#onRead = onRead
  }

  then<A = T, B = never> (
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    this.#onRead()
    return this.#promise.then(onFulfilled, onRejected)
  }

  catch<B = never> (onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.then(undefined, onRejected)
  }

  finally (onFinally?: (() => void) | null): Promise<T> {
    this.#onRead()
    return this.#promise.finally(onFinally)
  }
}
