import { setImmediate, setTimeout } from 'node:timers/promises'
import { released } from './release.js'

/** What every server streams: events of about 100 bytes of JSON, unless asked for others, from one generator. */
export interface BenchEvent {
  readonly n: number
  readonly status: string
  readonly text: string
}

/** What a request asks for. */
export interface Work {
  readonly count: number
  /** The JSON of an event has some 42 bytes more. @default 58 */
  readonly textBytes?: number
  /** The pause before each event, in milliseconds. @default 0 */
  readonly everyMs?: number
  /** For how long the handler computes before each event, in microseconds. @default 0 */
  readonly busyUs?: number
  /** Whether the first event waits until the bench lets all streams go at once. @default false */
  readonly held?: boolean
}

/**
 * Yields as fast as it is read, after one turn of the event loop: work that is done at once would be answered as one finished
 * text, with a Content-Length, which no work that takes time is.
 */
export async function * events ({ count, textBytes = 58, everyMs = 0, busyUs = 0, held = false }: Work): AsyncGenerator<BenchEvent, void, void> {
  await (held ? released() : setImmediate())
  const text = 'x'.repeat(textBytes)
  for (let n = 0; n < count; n++) {
    if (everyMs > 0) await setTimeout(everyMs)
    if (busyUs > 0) compute(busyUs)
    yield { n, status: 'completed', text }
  }
}

function compute (us: number): void {
  const until = performance.now() + us / 1_000
  while (performance.now() < until) { /* Nobody else can run. */ }
}

/** Reads what a request asks for from its url: `/?count=10000&held=true`. */
export function workOf (url: string): Work {
  const asked = new URL(url, 'http://localhost').searchParams
  return {
    count: Number(asked.get('count')),
    textBytes: Number(asked.get('textBytes') ?? 58),
    everyMs: Number(asked.get('everyMs') ?? 0),
    busyUs: Number(asked.get('busyUs') ?? 0),
    held: asked.get('held') === 'true'
  }
}
