import { ask, start } from './child.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import type { Block } from './serve.js'
import { startServer } from './served.js'
import { median, round } from './statistics.js'

/** For how long the loop may be blocked at most, in milliseconds. */
const target = 10
// A server that streams nothing shows what the method and the machine themselves add.
const idle = 'nothing streams'
const subjects = [
  { name: idle, server: 'mediator' },
  ...['node-http', 'node-http-coalesced', 'mediator', 'fastify-sse'].map(name => ({ name, server: name }))
]

/** Measures for how long one endless stream, whose generator never waits, keeps the event loop from everything else. */
export async function blockRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const ms = scale === 1 ? 3_000 : 500
  const client = start('client.js')
  const started = await Promise.all(subjects.map(async ({ name, server }) => ({ ...await startServer(server), name, blocks: [] as Block[] })))
  for (let current = 0; current <= rounds; current++) {
    for (const { name, child, port, blocks } of started) {
      await ask(child, 'watch loop')
      await ask(client, { port, connections: 1, count: name === idle ? 0 : Number.MAX_SAFE_INTEGER, everyMs: 0, leaveAfterMs: ms })
      const block = await ask<Block>(child, 'longest block')
      // Round 0 warms up.
      if (current > 0) blocks.push(block)
    }
    showProgress('endless stream: round', current, rounds)
  }
  client.disconnect()
  for (const { child } of started) child.disconnect()
  return started.map(({ name, blocks }) => {
    const longest = round(median(blocks.map(({ longestMs }) => longestMs)))
    return {
      scenario: 'one endless stream',
      subject: name,
      'longest block ms': longest,
      'p99.9 ms': round(median(blocks.map(({ p999Ms }) => p999Ms))),
      ...name === 'mediator' && { target: `≤ ${target}`, reached: longest <= target }
    }
  })
}
