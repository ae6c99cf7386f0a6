/** Where time comes from. Its timers hold no process open. */
export interface Clock {
  /** In milliseconds, from any point; never turned back. */
  now (): number
  /** Calls back once. Returns what ends this. */
  after (ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms).unref()
    return () => clearTimeout(timer)
  }
}
