/** Follows a promise until a signal aborts: then it rejects with the reason, and calls the function. One that nobody reads is no unhandled rejection. */
export function orAborted<T> (promise: Promise<T>, signal: AbortSignal, onAbort: () => void): Promise<T> {
  const either = new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason)
      onAbort()
    }
    signal.addEventListener('abort', abort)
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
  either.catch(() => {})
  return either
}
