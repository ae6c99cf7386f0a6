import { spawnSync } from 'node:child_process'
import { chromium } from 'playwright-core'
import { ask, start } from './child.js'
import type { PageFigures } from './page/page.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { median, round } from './statistics.js'

const perSecond = 10_000
const least = 30

/** Measures a page of React that shows a stream by the hook, in a headless browser: how often it is drawn meanwhile, and that nothing is lost. */
export async function pageRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const executablePath = spawnSync('which', ['chromium'], { encoding: 'utf8' }).stdout.trim()
  if (executablePath === '') throw new Error('Install chromium to measure pages')
  const seconds = scale === 1 ? 5 : 2
  const server = start('page/server.js')
  const port = await ask<number>(server, 'port')
  // Not as root: its sandbox refuses that.
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  const rows: Row[] = []
  for (const [scenario, input] of [
    [`${perSecond} events/s for ${seconds} s into one page`, { events: perSecond * seconds, perSecond }],
    [`${20 * perSecond} events at once into one page`, { events: 20 * perSecond, perSecond: 0 }]
  ] as const) {
    const all: PageFigures[] = []
    for (let current = 0; current < rounds; current++) {
      showProgress(`${scenario}: round`, current, rounds)
      const page = await browser.newPage()
      await page.goto(`http://127.0.0.1:${port}/`)
      all.push(await page.evaluate(`measure(${JSON.stringify(input)})`))
      await page.close()
    }
    showProgress(`${scenario}: round`, rounds, rounds)
    const frames = round(median(all.map(({ framesPerSecond }) => framesPerSecond)))
    const paced = input.perSecond > 0
    rows.push({
      scenario,
      subject: 'useStream',
      'frames/s': frames,
      'longest gap ms': round(Math.max(...all.map(({ longestGapMs }) => longestGapMs))),
      events: Math.min(...all.map(({ events }) => events)),
      'events/s': round(median(all.map(({ events, seconds }) => events / seconds))),
      ...(paced && { target: `≥ ${least}`, reached: frames >= least })
    })
  }
  await browser.close()
  server.disconnect()
  return rows
}
