import { ask, start } from './child.js'
import type { Took } from './events/cpu-time.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { median, round } from './statistics.js'

const reference = 'generator'
const subjects = [reference, 'stream', 'frames'] as const

/** Measures the mediator without HTTP: what a progress value costs that is read from a stream or as a frame, beside the bare generator. */
export async function directRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const values = 1_000_000 / scale
  const started = subjects.map(subject => ({ subject, child: start('direct.js', { args: [subject] }), took: [] as Took[] }))
  for (let current = 0; current <= rounds; current++) {
    for (const { child, took } of started) {
      const figures = await ask<Took>(child, values)
      // Round 0 warms up.
      if (current > 0) took.push(figures)
    }
    showProgress('without HTTP: round', current, rounds)
  }
  for (const { child } of started) child.disconnect()
  return started.map(({ subject, took }) => ({
    scenario: `${values / 1_000}k values without HTTP`,
    subject,
    'values/s': Math.round(median(took.map(({ wallMs }) => values / wallMs * 1_000))),
    'CPU µs a value': round(median(took.map(({ cpuMs }) => cpuMs * 1_000 / values))),
    'CPU ratio': round(median(took.map(({ cpuMs }, index) => cpuMs / started[0]!.took[index]!.cpuMs)))
  }))
}
