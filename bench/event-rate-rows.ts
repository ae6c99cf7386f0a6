import { ask, start } from './child.js'
import type { Took } from './events/cpu-time.js'
import type { Checked } from './events/limit-check.js'
import { eventsPerYield } from './events/workload.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { median, round } from './statistics.js'

/** Events per second of CPU time that the mediator must reach at its default limit. */
const target = 500_000
const limits = [10, 1]
const subjects = ['p-queue', 'mediator'] as const

/** Measures what an event costs whose handler does nothing, beside a bare queue that runs as many tasks. */
export async function eventRateRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const yields = 200_000 / scale
  const events = yields * eventsPerYield
  const variants = limits.flatMap(limit => subjects.map(subject => ({
    limit, subject, child: start(`events/rate-${subject}.js`, { args: [String(limit)] }), took: [] as Took[]
  })))
  for (let current = 0; current <= rounds; current++) {
    for (const { child, took } of variants) {
      const figures = await ask<Took>(child, yields)
      // Round 0 warms up.
      if (current > 0) took.push(figures)
    }
    showProgress(`${events / 1_000}k events: round`, current, rounds)
  }
  for (const { child } of variants) child.disconnect()
  const peaks = new Map(await Promise.all(limits.map(async limit => [limit, await peakAt(limit, yields / 10)] as const)))

  return variants.map(({ limit, subject, took }) => {
    const reference = variants.find(other => other.limit === limit && other.subject === 'p-queue')!.took
    const eventsPerCpuSecond = Math.round(median(took.map(({ cpuMs }) => events / cpuMs * 1_000)))
    return {
      scenario: `${events / 1_000}k events, limit ${limit}`,
      subject,
      'events/CPU s': eventsPerCpuSecond,
      'events/CPU s ratio': round(median(took.map(({ cpuMs }, index) => reference[index]!.cpuMs / cpuMs))),
      'events/s': Math.round(median(took.map(({ wallMs }) => events / wallMs * 1_000))),
      ...subject === 'mediator' && { 'peak of handlers': peaks.get(limit)! },
      ...subject === 'mediator' && limit === 10 && { target, reached: eventsPerCpuSecond >= target }
    }
  })
}

async function peakAt (limit: number, yields: number): Promise<number> {
  const child = start('events/limit-check.js', { args: [String(limit)] })
  const { peak } = await ask<Checked>(child, yields)
  child.disconnect()
  return peak
}
