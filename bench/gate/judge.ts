/** The ratio of this plugin's cost to that of the reference server, by the name of the figure. */
export type Ratios = Readonly<Record<string, number>>

export interface Judgement {
  readonly figure: string
  readonly ratio: number
  readonly baseline: number
  /** The ratio now to the ratio then. */
  readonly change: number
  readonly limit: number
  readonly verdict: 'as before' | 'worse' | 'better'
}

/**
 * How many times the baseline a figure may be. Times scatter by a few per cent, whatever one does. Bytes do so only where V8 inlines other
 * functions in another run, so that an object more per event shows in them first.
 */
export function limitOf (figure: string): number {
  if (figure === 'bytes per event') return 1.05
  return figure.startsWith('bytes') ? 1.1 : 1.15
}

/** Compares what was measured with the baseline. What cannot be compared is worse: a gate that lacks a figure must not stand open. */
export function judge (ratios: Ratios, baseline: Ratios): Judgement[] {
  const figures = new Set([...Object.keys(baseline), ...Object.keys(ratios)])
  if (figures.size === 0) throw new Error('there is nothing to compare')
  return Array.from(figures, figure => {
    const ratio = ratios[figure] ?? NaN
    const before = baseline[figure] ?? NaN
    const change = ratio / before
    const limit = limitOf(figure)
    // Not `change > limit`, which NaN would pass.
    const verdict = !(change > 0 && change <= limit) ? 'worse' : change < 1 / limit ? 'better' : 'as before'
    return { figure, ratio, baseline: before, change, limit, verdict }
  })
}
