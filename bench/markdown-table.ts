import type { Row } from './row.js'

/** Writes rows as a Markdown table, with a column for each figure that any of them has. */
export function markdownTable (rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap(row => Object.keys(row)))]
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    line(columns),
    line(columns.map((_, index) => index < 2 ? '---' : '---:')),
    ...rows.map(row => line(columns.map(column => textOf(row[column]))))
  ].join('\n')
}

function textOf (value: string | number | boolean | undefined): string {
  if (value === undefined) return ''
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return typeof value === 'number' && value >= 1_000 ? value.toLocaleString('en') : String(value)
}
