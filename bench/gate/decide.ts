import { judge } from './judge.js'
import type { Judgement, Ratios } from './judge.js'
import { Samples } from './samples.js'

/** Adds the ratios of some rounds to the samples. */
export type Measurement = (samples: Samples) => Promise<void>

/** How often what looks worse is measured. */
export const attempts = 3

/**
 * Measures, and judges. What looks worse is measured again, and the rounds of all attempts are judged together: noise goes away, and
 * what is worse does not.
 */
export async function decide (measurements: readonly Measurement[], baseline: Ratios, onSuspicion: (figures: string) => void): Promise<Judgement[]> {
  let ratios: Ratios = {}
  for (const measure of measurements) {
    const samples = new Samples()
    for (let attempt = 1; attempt <= attempts; attempt++) {
      await measure(samples)
      const medians = samples.medians()
      const suspicious = judge(medians, baseline).filter(({ figure, verdict }) => figure in medians && verdict === 'worse')
      if (suspicious.length === 0) break
      if (attempt < attempts) onSuspicion(suspicious.map(({ figure }) => figure).join(', '))
    }
    ratios = { ...ratios, ...samples.medians() }
  }
  return judge(ratios, baseline)
}
