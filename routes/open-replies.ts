/** Where the plugin keeps what replies share. */
export const openReplies = Symbol('fastify-streaming-mediator.open-replies')

declare module 'fastify' {
  interface FastifyInstance {
    /** @internal */
    [openReplies]: OpenReplies
  }
}

/** A reply that is open, as far as the registry of them is concerned. */
export interface OpenReply {
  /** When it last wrote, in milliseconds of `performance.now()`. */
  readonly lastWriteAt: number
  /** Since when its reader has not read what was written; undefined while it does. */
  readonly blockedAt: number | undefined
  writeHeartbeat (): void
  /** Destroys the response and takes itself out. */
  cut (reason: 'shutdown' | 'stalled'): void
}

/**
 * The replies that stream at the moment, and what they share: one timer for the heartbeats of
 * all of them and for readers that do not read.
 */
export class OpenReplies {
  readonly heartbeatMs: number
  readonly stallTimeoutMs: number
  readonly #replies = new Set<OpenReply>()
  #timer: NodeJS.Timeout | undefined
  #onEmpty: (() => void) | undefined

  constructor ({ heartbeatMs, stallTimeoutMs }: { readonly heartbeatMs: number, readonly stallTimeoutMs: number }) {
    this.heartbeatMs = heartbeatMs
    this.stallTimeoutMs = stallTimeoutMs
  }

  add (reply: OpenReply): void {
    this.#replies.add(reply)
    // The tick is a tenth of the interval: no reply is silent for longer than the interval that its client was told.
    this.#timer ??= setInterval(() => this.#tick(), Math.max(1, Math.min(this.heartbeatMs, this.stallTimeoutMs) / 10)).unref()
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
        for (const reply of this.#replies) reply.cut('shutdown')
      }, drainMs)
      this.#onEmpty = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #tick (): void {
    const now = performance.now()
    const due = now - this.heartbeatMs * 0.9
    const stalled = now - this.stallTimeoutMs
    for (const reply of this.#replies) {
      if (reply.blockedAt !== undefined && reply.blockedAt <= stalled) reply.cut('stalled')
      else if (reply.lastWriteAt <= due) reply.writeHeartbeat()
    }
  }
}
