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

/** Parts rows into tables: one joins the rows before it that have all of its figures, or whose figures it has all. */
export function tablesOf (rows: readonly Row[]): Row[][] {
  const tables: Array<{ figures: Set<string>, rows: Row[] }> = []
  for (const row of rows) {
    const figures = Object.keys(row)
    const table = tables.find(({ figures: known }) => figures.every(name => known.has(name)) || [...known].every(name => name in row))
    if (table === undefined) {
      tables.push({ figures: new Set(figures), rows: [row] })
      continue
    }
    table.rows.push(row)
    for (const name of figures) table.figures.add(name)
  }
  return tables.map(({ rows }) => rows)
}
