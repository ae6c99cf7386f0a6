import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { markdownTable } from './markdown-table.js'
import { plots } from './plots.js'
import { tablesOf } from './row.js'
import type { Effort, Row } from './row.js'

/** What one part of the bench has measured. */
export interface Part {
  readonly measuredAt: string
  readonly node: string
  readonly cpu: string
  readonly cores: number
  /** How many rounds the medians are of. */
  readonly rounds: number
  /** What amounts were divided by: 1, unless it was a quick run. */
  readonly scale: number
  readonly rows: readonly Row[]
}

/** The parts that have been measured, by their names. */
export type Report = Readonly<Record<string, Part>>

/** Says where and when the rows were measured. */
export function partOf (rows: readonly Row[], { rounds, scale }: Effort): Part {
  return { measuredAt: new Date().toISOString(), node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, rounds, scale, rows }
}

/** Writes `latest.json`, `latest.md` and the plots. Parts that were not measured this time keep what was measured before. */
export async function writeReport (folder: string, measured: Report): Promise<void> {
  await mkdir(folder, { recursive: true })
  const file = `${folder}/latest.json`
  const before = await readFile(file, 'utf8').then(text => (JSON.parse(text) as { parts: Report }).parts, () => ({}))
  const parts: Report = { ...before, ...measured }
  await writeFile(file, `${JSON.stringify({ parts }, null, 2)}\n`)
  await writeFile(`${folder}/latest.md`, markdown(parts))
  for (const [name, svg] of Object.entries(plots(parts['growth']?.rows ?? []))) await writeFile(`${folder}/${name}.svg`, svg)
}

function markdown (report: Report): string {
  const parts = Object.entries(report).map(([name, { measuredAt, node, cpu, cores, rounds, scale, rows }]) => [
    `## ${name}`,
    `Measured ${measuredAt.slice(0, 10)} with Node ${node} on ${cores} x ${cpu}, medians of ${rounds} rounds${scale === 1 ? '' : ', a quick run'}.`,
    ...tablesOf(rows).map(markdownTable)
  ].join('\n\n'))
  return `${['# What the bench has measured', 'Written by `npm run bench`. A ratio compares figures of the same round.', ...parts].join('\n\n')}\n`
}
