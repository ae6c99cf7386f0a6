/** A reply that is open, as far as the registry of them is concerned. */
export interface OpenReply {
  /** When it last wrote, in milliseconds of `performance.now()`. */
  readonly lastWriteAt: number
  writeHeartbeat (): void
  /** Destroys the response and takes itself out. */
  cut (): void
}

/**
 * The replies that stream at the moment, and what they share: one timer for the heartbeats of all of them.
 */
export class OpenReplies {
  readonly heartbeatMs: number
  readonly #replies = new Set<OpenReply>()
  #timer: NodeJS.Timeout | undefined
  #onEmpty: (() => void) | undefined

  constructor (heartbeatMs: number) {
    this.heartbeatMs = heartbeatMs
  }

  add (reply: OpenReply): void {
    this.#replies.add(reply)
    // The tick is a tenth of the interval: no reply is silent for longer than the interval that its client was told.
    this.#timer ??= setInterval(() => this.#tick(), Math.max(1, this.heartbeatMs / 10)).unref()
  }

  delete (reply: OpenReply): void {
    this.#replies.delete(reply)
    if (this.#replies.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#onEmpty?.()
  }

  /** Waits until every reply has left the process, for `drainMs` at most, then cuts those that their readers do not read. */
  async close (drainMs: number): Promise<void> {
    if (this.#replies.size === 0) return
    await new Promise<void>(resolve => {
      // A reply takes itself out of the set when it is cut.
      const timer = setTimeout(() => {
        for (const reply of this.#replies) reply.cut()
      }, drainMs)
      this.#onEmpty = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #tick (): void {
    const due = performance.now() - this.heartbeatMs * 0.9
    for (const reply of this.#replies) {
      if (reply.lastWriteAt <= due) reply.writeHeartbeat()
    }
  }
}
