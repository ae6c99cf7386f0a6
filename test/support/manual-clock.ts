import type { Clock } from '../../lib/clock.js'

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ readonly at: number, readonly callback: () => void }>()

  /** How many timers run. */
  get timers (): number {
    return this.#timers.size
  }

  now (): number {
    return this.#now
  }

  after (ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback }
    this.#timers.add(timer)
    return () => { this.#timers.delete(timer) }
  }

  /** Lets time pass, and runs what is due in its order. Returns how many timers have fired. */
  advance (ms: number): number {
    const end = this.#now + ms
    for (let fired = 0; ; fired++) {
      const [timer] = [...this.#timers].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)
      if (timer === undefined) {
        this.#now = end
        return fired
      }
      this.#timers.delete(timer)
      this.#now = timer.at
      timer.callback()
    }
  }
}
