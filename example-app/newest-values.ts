export interface NewestValuesOptions {
  /** Ends the waiting for values, with its reason. */
  readonly signal: AbortSignal
  /** How long to wait after values were read until the next ones are. What is pushed meanwhile takes the place of older values. @default 0 */
  readonly pauseMs?: number
}

/**
 * Turns what is pushed into what is pulled. For each key the newest value waits for the reader, so that a source which is faster than
 * its reader takes no more memory than there are keys.
 */
export class NewestValues<Key, Value> implements AsyncIterable<Value> {
  readonly #signal: AbortSignal
  readonly #pauseMs: number
  readonly #waiting = new Map<Key, Value>()
  /** Ends what the reader waits for. */
  #wake = (): void => {}
  #endPause = (): void => {}
  #isEnded = false

  constructor ({ signal, pauseMs = 0 }: NewestValuesOptions) {
    this.#signal = signal
    this.#pauseMs = pauseMs
  }

  /** Never blocks, and never fails: to be called by an emitter. */
  push (key: Key, value: Value): void {
    this.#waiting.set(key, value)
    this.#wake()
  }

  /** No more will be pushed. What waits is read nevertheless. */
  end (): void {
    this.#isEnded = true
    this.#wake()
    this.#endPause()
  }

  async * [Symbol.asyncIterator] (): AsyncGenerator<Value, void, undefined> {
    const onAbort = (): void => {
      this.#wake()
      this.#endPause()
    }
    this.#signal.addEventListener('abort', onAbort)
    try {
      for (;;) {
        this.#signal.throwIfAborted()
        // No more than there are now: a fast source would keep the pause away.
        let left = this.#waiting.size
        if (left === 0 && this.#isEnded) return
        if (left === 0) await this.#wakened()
        else {
          for (const [key, value] of this.#waiting) {
            this.#waiting.delete(key)
            yield value
            if (--left === 0) break
          }
          await this.#pause()
        }
      }
    } finally {
      this.#signal.removeEventListener('abort', onAbort)
    }
  }

  async #wakened (): Promise<void> {
    await new Promise<void>(resolve => { this.#wake = resolve })
  }

  async #pause (): Promise<void> {
    if (this.#isEnded || this.#signal.aborted) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, this.#pauseMs)
      this.#endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
