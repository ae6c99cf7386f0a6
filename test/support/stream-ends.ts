import type { MediatorStats, StreamEnd, StreamingMediator } from '../../index.js'

/** What `stats()` returns when nothing runs. */
export const nothing: MediatorStats = { streams: 0, owners: 0, detachedHandlers: 0, runningEventHandlers: 0, waitingEventHandlers: 0 }

/** The streams of a mediator that are over, in their order. */
export class StreamEnds {
  readonly all: StreamEnd[] = []
  #onEnd: (() => void) | undefined

  constructor (mediator: StreamingMediator) {
    mediator.onStreamEnd(end => {
      this.all.push(end)
      this.#onEnd?.()
    })
  }

  get reasons (): string[] {
    return this.all.map(({ reason }) => reason)
  }

  /** Resolves when so many streams are over. */
  async until (count: number): Promise<StreamEnd[]> {
    while (this.all.length < count) await new Promise<void>(resolve => { this.#onEnd = resolve })
    return this.all
  }
}
