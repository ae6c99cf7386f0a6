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

/**
 * Begins work under a breaker. Rejects with the breaker's error while it is open, and with the signal's reason when that aborts before
 * the work could begin: a breaker that is half-open lets others wait.
 * @param onAbort called when the signal aborts while the work goes on, which may never end: a breaker that waits for it would let
 * nobody through again
 */
export async function beginUnder (
  breaker: Breaker | undefined, context: { readonly signal: AbortSignal }, onAbort: (reason: unknown, report: BreakerReport) => void
): Promise<BreakerReport> {
  if (breaker === undefined) return noReport
  const { signal } = context
  signal.throwIfAborted()
  return await new Promise<BreakerReport>((resolve, reject) => {
    let begun = false
    let report: BreakerReport | undefined
    const onSignal = (): void => {
      if (report === undefined) reject(signal.reason)
      else onAbort(signal.reason, report)
    }
    const stopListening = (): void => signal.removeEventListener('abort', onSignal)
    const work = (): Promise<void> => {
      // A policy that also retries would wait for this second run for ever.
      if (begun) return Promise.reject(new Error('a stream cannot be run again by a policy: use one that only breaks the circuit'))
      begun = true
      if (signal.aborted) return Promise.resolve()
      const outcome = new Promise<void>((onSucceeded, onFailed) => { // eslint-disable-line promise/param-names
        report = {
          succeeded () {
            stopListening()
            onSucceeded()
          },
          failed (error) {
            stopListening()
            onFailed(error)
          }
        }
        resolve(report)
      })
      // One that has given up the work, after a time of its own, need not look at it.
      outcome.catch(() => {})
      return outcome
    }
    const refuse = (error: unknown): void => {
      if (begun) return
      stopListening()
      reject(error)
    }
    signal.addEventListener('abort', onSignal, { once: true })
    breaker.execute(work).then(() => refuse(new Error('the breaker did not run its work')), refuse)
  })
}
