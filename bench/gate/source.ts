import { setImmediate } from 'node:timers/promises'

/** What both servers stream: about 100 bytes of JSON. */
export interface GateEvent {
  readonly n: number
  readonly status: string
  readonly text: string
}

const text = 'x'.repeat(58)

/** Yields as fast as it is read, after one turn of the event loop, so that no stream is answered as one finished text. */
export async function * events (count: number): AsyncGenerator<GateEvent, void, void> {
  await setImmediate()
  for (let n = 0; n < count; n++) yield { n, status: 'completed', text }
}
