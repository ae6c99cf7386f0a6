/** One effect of an order. The times are those of `performance.now()`. */
export interface JournalEntry {
  readonly effect: string
  readonly orderId: string
  readonly startedAtMs: number
  readonly endedAtMs: number
}

const maxEntries = 1_000

/** When the effects of the last orders were carried out: what ran beside what. */
export class Journal {
  readonly #entries: JournalEntry[] = []

  /** In the order in which they ended, the last 1,000. */
  get entries (): readonly JournalEntry[] {
    return this.#entries
  }

  /** Carries out an effect, and notes when that began and ended. One that fails is not noted. */
  async record (effect: string, orderId: string, carryOut: () => Promise<void>): Promise<void> {
    const startedAtMs = performance.now()
    await carryOut()
    this.#entries.push({ effect, orderId, startedAtMs, endedAtMs: performance.now() })
    if (this.#entries.length > maxEntries) this.#entries.shift()
  }
}
