import { setTimeout } from 'node:timers/promises'
import type { Handler } from '../../index.js'
import type { Countdown } from './contracts.js'

/** One tick a second. They are due by the clock, so that a late one does not delay those after it. */
export const countdown: Handler<typeof Countdown> = async function * ({ seconds }, { signal }) {
  const startedAt = performance.now()
  for (let passed = 0; passed < seconds; passed++) {
    yield { event: 'tick', data: { remaining: seconds - passed } }
    await setTimeout(Math.max(0, startedAt + (passed + 1) * 1_000 - performance.now()), undefined, { signal })
  }
  return { seconds }
}
