import { setImmediate } from 'node:timers/promises'

/** What every server streams: events of about 100 bytes of JSON, from one generator. */
export interface BenchEvent {
  readonly n: number
  readonly status: string
  readonly text: string
}

const text = 'x'.repeat(58)

/**
 * Yields as fast as it is read, after one turn of the event loop: work that is done at once would be answered as one finished
 * text, with a Content-Length, which no work that takes time is.
 */
export async function * events (count: number): AsyncGenerator<BenchEvent, void, void> {
  await setImmediate()
  for (let n = 0; n < count; n++) yield { n, status: 'completed', text }
}

/** Reads the number of events from a request's url: `/?count=10000`. */
export function countOf (url: string): number {
  return Number(new URL(url, 'http://localhost').searchParams.get('count'))
}
