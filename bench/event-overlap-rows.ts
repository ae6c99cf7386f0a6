import { ask, start } from './child.js'
import type { Took } from './events/cpu-time.js'
import type { Variant } from './events/overlap.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { median, round } from './statistics.js'

const yields = 50
const reference: Variant = 'no events'
const variants: readonly Variant[] = [reference, 'overlap', 'before-progress']

/** How much longer the work with events may take, when they run beside it. */
const target = 1.1

/** Measures how long 5 ms of work a yield take when each yield has events whose handlers take 5 ms as well. */
export async function eventOverlapRows ({ rounds: asked }: Effort): Promise<Row[]> {
  // A round takes a second, and wall time is the noisiest figure of all.
  const rounds = Math.max(asked, 5)
  const started = variants.map(variant => ({ variant, child: start('events/overlap.js', { args: [variant] }), took: [] as Took[] }))
  for (let current = 0; current <= rounds; current++) {
    for (const { child, took } of started) {
      const figures = await ask<Took>(child, yields)
      // Round 0 warms up.
      if (current > 0) took.push(figures)
    }
    showProgress(`${yields} yields: round`, current, rounds)
  }
  for (const { child } of started) child.disconnect()
  const check = start('events/delivery-check.js')
  const inOrder = await ask<number>(check, yields)
  check.disconnect()

  return started.map(({ variant, took }) => {
    const ratio = median(took.map(({ wallMs }, index) => wallMs / started[0]!.took[index]!.wallMs))
    return {
      scenario: `${yields} x 5 ms of work`,
      subject: variant,
      'wall ms': round(median(took.map(({ wallMs }) => wallMs))),
      'wall ratio': round(ratio),
      ...variant === 'overlap' && { target, reached: ratio <= target },
      ...variant === 'before-progress' && { 'results after all of their events': `${inOrder} of ${yields}` }
    }
  })
}
