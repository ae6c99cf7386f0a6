import { maxTimeoutMs } from '../lib/max-timeout.js'

/**
 * What becomes of a stream when its client leaves: `'abort'` ends it and keeps nothing, `{ graceMs }` ends it when nobody has read it for
 * that many milliseconds, `'continue'` lets it run to its end. The last two keep it, so that it can be read again.
 */
export type OnDisconnect = 'abort' | 'continue' | { readonly graceMs: number }

/** Whether it is one of the three. */
export function isOnDisconnect (option: unknown): option is OnDisconnect {
  if (option === 'abort' || option === 'continue') return true
  if (option === null || typeof option !== 'object') return false
  const { graceMs, ...others } = option as { graceMs?: unknown }
  return Object.keys(others).length === 0 && Number.isInteger(graceMs) && Number(graceMs) >= 0 && Number(graceMs) <= maxTimeoutMs
}
