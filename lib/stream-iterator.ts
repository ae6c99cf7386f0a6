import type { CommandDefinition, ProgressOf } from './definition.js'
import type { MediatorStream } from './mediator-stream.js'

/** What was written to a client so far. */
export interface Written {
  readonly frames: number
  readonly bytes: number
  /** Nothing more will be. */
  readonly closed: boolean
  /** Why the result of a handler could not be written: the client was told of a failure. */
  readonly failure?: { readonly error: unknown } | undefined
}

/** Who is told what happens to a stream. Each pull gives at most one progress; the end is told whenever it comes, once. */
export interface StreamConsumer {
  onProgress (value: unknown): void
  /** The handler has returned and every event has settled. */
  onComplete (result: unknown): void
  /** The handler threw or the stream was aborted; events may still be running. Or one of them failed, and all have settled. */
  onError (error: unknown): void
  /** Of a consumer that writes to a client. */
  readonly written?: Written | undefined
}

interface Waiting<P> {
  resolve (result: IteratorResult<P, undefined>): void
  reject (error: unknown): void
}

/** What `for await` uses. The end may come between two calls of `next`; an error is kept for the next one. */
export class StreamIterator<D extends CommandDefinition> implements AsyncIterator<ProgressOf<D>, undefined>, StreamConsumer {
  readonly written: Written | undefined
  readonly #stream: MediatorStream<D>
  readonly #waiting: Array<Waiting<ProgressOf<D>>> = []
  #error: { readonly value: unknown } | undefined
  #ended = false

  constructor (stream: MediatorStream<D>, written?: Written) {
    this.#stream = stream
    this.written = written
    stream.consume(this)
  }

  next (): Promise<IteratorResult<ProgressOf<D>, undefined>> {
    return new Promise((resolve, reject) => {
      if (this.#error !== undefined) {
        reject(this.#error.value)
        this.#error = undefined
      } else if (this.#ended) {
        resolve({ done: true, value: undefined })
      } else if (this.#waiting.push({ resolve, reject }) === 1) {
        this.#stream.pull()
      }
    })
  }

  async return (): Promise<IteratorResult<ProgressOf<D>, undefined>> {
    this.#stream.abort()
    this.#error = undefined
    await this.#stream.stopped()
    return { done: true, value: undefined }
  }

  onProgress (value: unknown): void {
    // A yielded `undefined` is a step without progress.
    if (value !== undefined) this.#waiting.shift()?.resolve({ done: false, value: value as ProgressOf<D> })
    if (this.#waiting.length > 0) this.#stream.pull()
  }

  onComplete (): void {
    this.#ended = true
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
  }

  onError (error: unknown): void {
    this.#ended = true
    const first = this.#waiting.shift()
    if (first === undefined) this.#error = { value: error }
    else first.reject(error)
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
  }
}
