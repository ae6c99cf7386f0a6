/** One line of a plot. */
export interface Line {
  readonly name: string
  readonly points: ReadonlyArray<readonly [x: number, y: number]>
}

/** What a plot shows. Both axes are logarithmic. */
export interface Plot {
  readonly title: string
  /** What a reader who does not see the picture should know. */
  readonly description: string
  readonly x: string
  readonly y: string
  readonly lines: readonly Line[]
}

const width = 720
const height = 420
const frame = { left: 76, right: width - 24, top: 84, bottom: height - 60 }

// Told apart by colour and by mark, on light and on dark ground alike.
const marks = ['circle', 'square', 'diamond', 'triangle'] as const

const style = `
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .ground { fill: #ffffff } .grid { stroke: #d0d7de } .axis { stroke: #57606a }
  .line { fill: none; stroke-width: 2 }
  .s0 { stroke: #0b62c4 } .s1 { stroke: #b35900 } .s2 { stroke: #6e7781 } .s3 { stroke: #a0267e }
  .mark { fill: #ffffff; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .ground { fill: #0d1117 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
    .s0 { stroke: #58a6ff } .s1 { stroke: #f0883e } .s2 { stroke: #9da7b3 } .s3 { stroke: #f778ba }
    .mark { fill: #0d1117 }
  }`

/** Draws a plot. Lines beyond the fourth would look like the first ones. */
export function svgPlot ({ title, description, x, y, lines }: Plot): string {
  const points = lines.flatMap(line => line.points)
  const toX = scaleFor(points.map(([value]) => value), frame.left, frame.right)
  const toY = scaleFor(points.map(([, value]) => value), frame.bottom, frame.top)
  const parts = [
    `<title>${escape(title)}</title><desc>${escape(description)}</desc><style>${style}\n</style>`,
    `<rect class="ground" width="${width}" height="${height}" rx="6"/>`,
    `<text class="title" x="24" y="28">${escape(title)}</text>`,
    ...toX.ticks.map(tick => `<path class="grid" d="M${toX.at(tick)} ${frame.top}V${frame.bottom}"/>` +
      `<text x="${toX.at(tick)}" y="${frame.bottom + 20}" text-anchor="middle">${short(tick)}</text>`),
    ...toY.ticks.map(tick => `<path class="grid" d="M${frame.left} ${toY.at(tick)}H${frame.right}"/>` +
      `<text x="${frame.left - 8}" y="${toY.at(tick) + 4}" text-anchor="end">${short(tick)}</text>`),
    `<path class="axis" fill="none" d="M${frame.left} ${frame.top}V${frame.bottom}H${frame.right}"/>`,
    `<text x="${(frame.left + frame.right) / 2}" y="${height - 16}" text-anchor="middle">${escape(x)}</text>`,
    `<text transform="translate(20 ${(frame.top + frame.bottom) / 2}) rotate(-90)" text-anchor="middle">${escape(y)}</text>`,
    ...lines.map((line, index) => drawn(line, index, toX.at, toY.at))
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">\n${parts.join('\n')}\n</svg>\n`
}

function drawn ({ name, points }: Line, index: number, x: (value: number) => number, y: (value: number) => number): string {
  const sorted = [...points].sort(([a], [b]) => a - b)
  const look = index % marks.length
  const legendX = 24 + index * (width - 48) / marks.length
  return `<g><path class="line s${look}" d="M${sorted.map(([a, b]) => `${x(a)} ${y(b)}`).join('L')}"/>` +
    sorted.map(([a, b]) => mark(look, x(a), y(b))).join('') +
    `<path class="line s${look}" d="M${legendX} 56h20"/>${mark(look, legendX + 10, 56)}<text x="${legendX + 26}" y="60">${escape(name)}</text></g>`
}

function mark (look: number, x: number, y: number): string {
  const shape = marks[look]!
  if (shape === 'circle') return `<circle class="mark s${look}" cx="${x}" cy="${y}" r="4"/>`
  const steps = { square: 'm-4 -4h8v8h-8z', diamond: 'm0 -5l5 5l-5 5l-5 -5z', triangle: 'm0 -5l5 9h-10z' }[shape]
  return `<path class="mark s${look}" d="M${x} ${y}${steps}"/>`
}

/** A logarithmic scale from a whole decade to the greatest value, marked in finer steps where there are few decades. */
function scaleFor (values: readonly number[], from: number, to: number): { at: (value: number) => number, ticks: number[] } {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.log10(Math.max(...values)))
  const decades = Array.from({ length: Math.floor(high) - low + 1 }, (_, index) => 10 ** (low + index))
  const steps = high - low > 2 ? [1] : [1, 2, 5]
  return {
    at: value => Math.round((from + (Math.log10(value) - low) / (high - low) * (to - from)) * 10) / 10,
    ticks: decades.flatMap(decade => steps.map(step => step * decade)).filter(tick => Math.log10(tick) <= high)
  }
}

function short (value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`
  return value >= 1e3 ? `${value / 1e3}k` : String(Number(value.toPrecision(1)))
}

function escape (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
