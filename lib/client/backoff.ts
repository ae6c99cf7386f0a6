/** How a client reconnects. */
export interface ReconnectOptions {
  /** Attempts in a row without new progress, after which a stream is given up. @default 10 */
  readonly attempts?: number
  /** Milliseconds before the first attempt, where the server does not say (`retry`). They double with each that fails. @default 1_000 */
  readonly delayMs?: number
  /** The most that they grow to. @default 30_000 */
  readonly maxDelayMs?: number
  /** The least, whatever the server says; 1 or more. @default 100 */
  readonly minDelayMs?: number
}

/**
 * Milliseconds before the n-th attempt, 0 where there shall be none. They double, and are up to a half less, so that clients who were cut
 * together come back apart. A server that asks for more than five minutes (`Retry-After`) is not asked again.
 */
export function delayOf (
  failures: number,
  retryMs: number | undefined,
  retryAfterMs = 0,
  { attempts = 10, delayMs = 1_000, maxDelayMs = 30_000, minDelayMs = 100 }: ReconnectOptions = {}
): number {
  if (failures > attempts || retryAfterMs > 300_000) return 0
  return Math.max(minDelayMs, retryAfterMs, Math.min(maxDelayMs, (retryMs ?? delayMs) * 2 ** failures / 2) * (1 + Math.random()) / 2)
}

/** Reads `Retry-After`: seconds, or a date. 0 where there is neither. */
export function retryAfterOf ({ headers }: Response): number {
  const text = headers.get('retry-after')!
  return (isNaN(+text) ? Date.parse(text) - Date.now() : +text * 1_000) || 0
}
