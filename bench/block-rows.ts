import { ask, start } from './child.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import type { Block } from './serve.js'
import { startServer } from './served.js'
import { median, round } from './statistics.js'

// A server that streams nothing shows what the method and the machine themselves add.
const idle = 'nothing streams'
// `target` is for how long the loop may be blocked at most, in milliseconds.
const endless = Number.MAX_SAFE_INTEGER
const scenarios = [
  { scenario: 'one endless stream', subjects: [idle, 'node-http', 'node-http-coalesced', 'mediator', 'fastify-sse'], work: { connections: 1, count: endless }, target: 10 },
  // Handlers that compute and never wait: each alone keeps to its turn, all of them together have to share one.
  { scenario: '50 endless streams, 0.2 ms of work an event', subjects: [idle, 'mediator'], work: { connections: 50, count: endless, busyUs: 200 }, target: undefined }
]

/** Measures for how long endless streams, whose generators never wait, keep the event loop from everything else. */
export async function blockRows (effort: Effort): Promise<Row[]> {
  const rows: Row[] = []
  for (const each of scenarios) rows.push(...await blockRowsOf(each, effort))
  return rows
}

async function blockRowsOf ({ scenario, subjects, work, target }: typeof scenarios[number], { scale, rounds }: Effort): Promise<Row[]> {
  const ms = scale === 1 ? 3_000 : 500
  const client = start('client.js')
  const started = await Promise.all(subjects.map(async name => ({
    ...await startServer(name === idle ? 'mediator' : name), name, blocks: [] as Block[]
  })))
  for (let current = 0; current <= rounds; current++) {
    for (const { name, child, port, blocks } of started) {
      await ask(child, 'watch loop')
      await ask(client, { port, ...work, ...name === idle && { count: 0 }, leaveAfterMs: ms })
      const block = await ask<Block>(child, 'longest block')
      // Round 0 warms up.
      if (current > 0) blocks.push(block)
    }
    showProgress(`${scenario}: round`, current, rounds)
  }
  client.disconnect()
  for (const { child } of started) child.disconnect()
  return started.map(({ name, blocks }) => {
    const longest = round(median(blocks.map(({ longestMs }) => longestMs)))
    return {
      scenario,
      subject: name,
      'longest block ms': longest,
      'p99.9 ms': round(median(blocks.map(({ p999Ms }) => p999Ms))),
      ...name === 'mediator' && target !== undefined && { target: `≤ ${target}`, reached: longest <= target }
    }
  })
}
