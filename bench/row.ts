/** How long the bench may take. */
export interface Effort {
  /** What amounts are divided by. */
  readonly scale: number
  readonly rounds: number
}

/** One line of the report: what was done, by whom, and the figures under their printed names. */
export interface Row {
  readonly scenario: string
  readonly subject: string
  readonly [figure: string]: string | number | boolean
}
