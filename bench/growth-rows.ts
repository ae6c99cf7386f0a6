import { ask, start } from './child.js'
import { medianOf, withServers } from './compare.js'
import type { Results } from './compare.js'
import type { Took } from './events/cpu-time.js'
import type { Figures } from './served.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { median, round } from './statistics.js'

const subjects = ['mediator', 'node-http-coalesced', 'node-http', 'fastify-sse'].map(name => ({ name }))
const sizes = [10, 100, 1_000, 10_000, 100_000, 1_048_576]
const connectionCounts = [1, 10, 100, 1_000, 5_000, 18_000]
const eventCounts = [1, 10, 100, 1_000, 10_000]
const handlerCounts = [0, 1, 2, 4, 8, 16]

/** Measures how cost grows: with the size of an event, with connections, with the events of a stream and with the event handlers of a yield. */
export async function growthRows (effort: Effort): Promise<Row[]> {
  return [...await servedRows(effort), ...await handlerRows(effort)]
}

async function servedRows ({ scale, rounds: asked }: Effort): Promise<Row[]> {
  // A line has many points, each of which has its neighbours.
  const rounds = scale === 1 ? Math.min(asked, 3) : 1
  const most = scale === 1 ? Infinity : 1_000
  const rows: Row[] = []
  const add = (scenario: string, by: Readonly<Record<string, number>>, results: Results, figures: Readonly<Partial<Record<keyof Figures, string>>>): void => {
    rows.push(...subjects.map(({ name: subject }) => ({
      scenario,
      subject,
      ...by,
      ...Object.fromEntries(Object.entries(figures).map(([figure, printed]) => [printed, medianOf(results, subject, figure as keyof Figures)]))
    })))
  }
  await withServers(subjects, async compare => {
    for (const textBytes of sizes) {
      // Of all sizes as many bytes, where that is not too many events or too few.
      const count = Math.round(Math.min(10_000, Math.max(20, 6_400_000 / textBytes)) / scale)
      const results = await compare(`${textBytes} bytes`, { connections: 10, count, textBytes, held: true }, rounds)
      add(`${textBytes} bytes of text, 10 connections`, { 'bytes of text': textBytes, 'events a stream': count }, results, { cpuPerEvent: 'CPU µs an event' })
    }
    for (const connections of connectionCounts.filter(count => count <= most)) {
      // Enough of them that the end of a stream is no part of what an event costs.
      const count = Math.round(Math.max(50, 200_000 / connections / scale))
      // A round of so many streams takes a minute, and is a mean of many already.
      const results = await compare(`${connections} connections`, { connections, count, held: true }, connections > 1_000 ? 1 : rounds)
      add(`${connections} connections`, { connections, 'events a stream': count }, results, { cpuPerEvent: 'CPU µs an event', cpuPerStream: 'CPU µs to open a stream' })
    }
    for (const count of eventCounts) {
      const streams = Math.max(1, Math.round(Math.min(200, 20_000 / count) / scale))
      const results = await compare(`${count} events`, { connections: 10, count, streams }, rounds)
      add(`${count} events a stream, 10 connections`, { 'events a stream': count }, results, { cpuPerStream: 'CPU µs a stream', cpuPerEvent: 'CPU µs an event of it' })
    }
  })
  return rows
}

async function handlerRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const yields = 50_000 / scale
  const started = handlerCounts.map(handlers => ({ handlers, child: start('events/handlers.js', { args: [String(handlers)] }), took: [] as Took[] }))
  for (let current = 0; current <= rounds; current++) {
    for (const { child, took } of started) {
      const figures = await ask<Took>(child, yields)
      // Round 0 warms up.
      if (current > 0) took.push(figures)
    }
    showProgress('event handlers a yield: round', current, rounds)
  }
  for (const { child } of started) child.disconnect()
  return started.map(({ handlers, took }) => ({
    scenario: `${handlers} event handlers a yield, without HTTP`,
    subject: 'mediator',
    'event handlers': handlers,
    'CPU µs a yield': round(median(took.map(({ cpuMs }) => cpuMs * 1_000 / yields)))
  }))
}
