import { ClientError } from './client-error.js'

/**
 * Waits for something of a server: rejects with CLIENT_ERR_CONNECTION where the promise rejects, with the signal's reason once that aborts, and
 * with CLIENT_ERR_TIMEOUT after a time where one is given. The signal has one that waits at a time, so there is no listener to be removed.
 */
export function waitFor<T> (promise: Promise<T>, signal: AbortSignal, ms?: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  return new Promise<T>((resolve, reject) => {
    const fail = (code: string, cause?: unknown): void => reject(new ClientError('truncated', code, { cause, retryable: true }))
    signal.onabort = () => reject(signal.reason)
    if (ms) timer = setTimeout(fail, ms, 'CLIENT_ERR_TIMEOUT')
    promise.then(resolve, cause => fail('CLIENT_ERR_CONNECTION', cause))
  }).finally(() => clearTimeout(timer))
}
