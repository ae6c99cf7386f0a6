interface Screen {
  requestAnimationFrame (callback: (at: number) => void): number
  cancelAnimationFrame (frame: number): void
}
const screen = globalThis as unknown as Screen

/** Counts the frames that a browser draws, and the longest time between two. */
export class FrameCounter {
  readonly #startedAt = performance.now()
  #lastAt = this.#startedAt
  #frames = 0
  #longestGapMs = 0
  #frame: number
  #onFrame: (() => void) | undefined

  constructor () {
    const count = (): void => {
      const now = performance.now()
      this.#frames++
      this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastAt)
      this.#lastAt = now
      this.#frame = screen.requestAnimationFrame(count)
      this.#onFrame?.()
    }
    this.#frame = screen.requestAnimationFrame(count)
  }

  /** Resolves with the next frame. */
  async next (): Promise<void> {
    await new Promise<void>(resolve => { this.#onFrame = resolve })
  }

  stop (): { seconds: number, framesPerSecond: number, longestGapMs: number } {
    screen.cancelAnimationFrame(this.#frame)
    const seconds = (this.#lastAt - this.#startedAt) / 1_000
    return { seconds, framesPerSecond: this.#frames / seconds, longestGapMs: this.#longestGapMs }
  }
}
