/** A circuit breaker, such as one of cockatiel: runs what it is given, or rejects at once while it is open. */
export interface Breaker {
  execute<T> (run: () => PromiseLike<T>): Promise<T>
}

/** Tells a breaker how work went that begins in one place and ends in another. Only the first call counts. */
export interface BreakerReport {
  succeeded (): void
  failed (error: unknown): void
}

const noReport: BreakerReport = { succeeded () {}, failed () {} }

/** Begins work under a breaker. Rejects with the breaker's error while it is open. */
export async function beginUnder (breaker: Breaker | undefined): Promise<BreakerReport> {
  if (breaker === undefined) return noReport
  return await new Promise<BreakerReport>((resolve, reject) => {
    let begun = false
    const work = (): Promise<void> => {
      // A policy that also retries would wait for this second run for ever.
      if (begun) return Promise.reject(new Error('a stream cannot be run again by a policy: use one that only breaks the circuit'))
      begun = true
      return new Promise<void>((succeeded, failed) => resolve({ succeeded, failed })) // eslint-disable-line promise/param-names
    }
    breaker.execute(work).then(() => reject(new Error('the breaker did not run its work')), reject)
  })
}
