import type { Row } from './row.js'
import { svgPlot } from './svg-plot.js'

const cost = 'CPU µs an event'

const shown = [
  { file: 'event-size', by: 'bytes of text', title: 'CPU per event against its size', x: 'bytes of text in an event' },
  { file: 'connections', by: 'connections', title: 'CPU per event against the number of connections', x: 'connections, all with a stream' }
]

/** Draws how cost grows, from the rows of the part `growth`. Returns the SVG files by their names. */
export function plots (rows: readonly Row[]): Record<string, string> {
  return Object.fromEntries(shown.flatMap(({ file, by, title, x }) => {
    const measured = rows.filter(row => by in row && cost in row)
    if (measured.length === 0) return []
    const lines = [...new Set(measured.map(({ subject }) => subject))].map(name => ({
      name,
      points: measured.filter(({ subject }) => subject === name).map(row => [Number(row[by]), Number(row[cost])] as const)
    }))
    const description = lines.map(({ name, points }) => `${name}: ${points.map(([a, b]) => `${b} µs at ${a}`).join(', ')}`).join('; ')
    return [[file, svgPlot({ title, description, x, y: cost, lines })]]
  }))
}
