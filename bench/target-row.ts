import type { Row } from './row.js'
import { median, round } from './statistics.js'

/** What a ratio must be. */
export type Target = { readonly atMost: number } | { readonly atLeast: number }

/** Shows the rounds' ratios, and whether their median is what it must be, where it must be something. */
export function targetRow (scenario: string, subject: string, ratios: readonly number[], target?: Target): Row {
  const ratio = round(median(ratios))
  const row: Row = { scenario, subject, ratio, least: round(Math.min(...ratios)), most: round(Math.max(...ratios)) }
  if (target === undefined) return row
  return 'atMost' in target
    ? { ...row, target: `≤ ${target.atMost}`, reached: ratio <= target.atMost }
    : { ...row, target: `≥ ${target.atLeast}`, reached: ratio >= target.atLeast }
}
