import { median } from '../statistics.js'
import type { Ratios } from './judge.js'

/** The ratios of all rounds, by the name of their figure. */
export class Samples {
  readonly #ratios = new Map<string, number[]>()

  add (figure: string, ratio: number): void {
    const ratios = this.#ratios.get(figure)
    if (ratios === undefined) this.#ratios.set(figure, [ratio])
    else ratios.push(ratio)
  }

  /** The median of what was added for each figure, with four digits. */
  medians (): Ratios {
    return Object.fromEntries(Array.from(this.#ratios, ([figure, ratios]) => [figure, Number(median(ratios).toPrecision(4))]))
  }
}
