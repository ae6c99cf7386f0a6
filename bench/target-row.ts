import type { Row } from './row.js'
import { median, round } from './statistics.js'

/** What a ratio must be. */
export type Target = { readonly atMost: number } | { readonly atLeast: number }

/** Says whether the median of the rounds' ratios is what it must be. */
export function targetRow (scenario: string, subject: string, ratios: readonly number[], target: Target): Row {
  const ratio = round(median(ratios))
  const [sign, limit] = 'atMost' in target ? ['≤', target.atMost] : ['≥', target.atLeast]
  return {
    scenario,
    subject,
    ratio,
    least: round(Math.min(...ratios)),
    most: round(Math.max(...ratios)),
    target: `${sign} ${limit}`,
    reached: sign === '≤' ? ratio <= limit : ratio >= limit
  }
}
