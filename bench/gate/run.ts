import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { attempts, decide } from './decide.js'
import type { Measurement } from './decide.js'
import type { Judgement, Ratios } from './judge.js'
import { measureBytes, measureTimes } from './measure.js'
import { Samples } from './samples.js'

// Fails when an event, a short stream or a first event has become dearer, beside a reference server that does the same work in the same minute.
// `npm run bench:gate`; with `--update` it writes the baseline instead. CONTRIBUTING.md says what to do when it fails.

const { values: { update, baseline: file } } = parseArgs({
  options: {
    update: { type: 'boolean', default: false },
    baseline: { type: 'string', default: 'bench/gate/baseline.json' }
  }
})
const measurements: readonly Measurement[] = [
  async samples => await measureBytes(samples, { rounds: 3 }),
  async samples => await measureTimes(samples, { pairs: 3, rounds: 10 })
]
if (update) await writeBaseline()
else await compare()

async function writeBaseline (): Promise<void> {
  const samples = new Samples()
  for (const measure of measurements) {
    for (let attempt = 0; attempt < attempts; attempt++) await measure(samples)
  }
  const ratios = samples.medians()
  await writeFile(file, JSON.stringify({ node: process.version, ratios }, null, 2) + '\n')
  console.table(ratios)
}

async function compare (): Promise<void> {
  const { node, ratios } = JSON.parse(await readFile(file, 'utf8')) as { node: string, ratios: Ratios }
  const judgements = await decide(measurements, ratios, figures => console.log(`${figures}: looks worse, measuring again`))
  console.log(`Cost of this plugin beside node:http by hand, on Node ${process.version} (the baseline is of ${node}):`)
  console.table(Object.fromEntries(judgements.map(({ figure, ratio, baseline, change, limit, verdict }) => [figure, {
    'times the reference': ratio, baseline, change: Number(change.toFixed(3)), limit, verdict
  }])))
  const better = names(judgements, 'better')
  if (better !== '') console.log(`Cheaper than before: ${better}. Keep that: write a new baseline with \`npm run bench:gate -- --update\``)
  const worse = names(judgements, 'worse')
  if (worse === '') return
  console.error(`Dearer than the limit: ${worse}. CONTRIBUTING.md says what to do when the gate fails`)
  process.exitCode = 1
}

function names (judgements: readonly Judgement[], verdict: Judgement['verdict']): string {
  return judgements.filter(judgement => judgement.verdict === verdict).map(({ figure }) => figure).join(', ')
}
