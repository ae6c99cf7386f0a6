import type { Clock } from './clock.js'

/** Expires items, each at the same time after it was added. Its one timer exists only while there is an item. */
export class Sweeper<T> {
  readonly #lifetimeMs: number
  readonly #onExpire: (item: T) => void
  readonly #clock: Clock
  // All live equally long, so their order is that in which they expire.
  readonly #expiries = new Map<T, number>()
  #stopTimer: (() => void) | undefined

  constructor (lifetimeMs: number, onExpire: (item: T) => void, clock: Clock) {
    this.#lifetimeMs = lifetimeMs
    this.#onExpire = onExpire
    this.#clock = clock
  }

  add (item: T): void {
    this.#expiries.set(item, this.#clock.now() + this.#lifetimeMs)
    if (this.#stopTimer === undefined) this.#arm(this.#lifetimeMs)
  }

  delete (item: T): void {
    if (this.#expiries.delete(item) && this.#expiries.size === 0) this.#disarm()
  }

  clear (): void {
    this.#expiries.clear()
    this.#disarm()
  }

  #arm (ms: number): void {
    this.#stopTimer = this.#clock.after(ms, () => this.#sweep())
  }

  #disarm (): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  #sweep (): void {
    this.#stopTimer = undefined
    const now = this.#clock.now()
    for (const [item, expiry] of this.#expiries) {
      if (expiry > now) {
        // However many there are, the timer fires at most some sixty times in the life of one.
        this.#disarm()
        this.#arm(Math.max(expiry - now, this.#lifetimeMs / 60))
        return
      }
      this.#expiries.delete(item)
      this.#onExpire(item)
    }
  }
}
