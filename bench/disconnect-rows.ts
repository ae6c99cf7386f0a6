import { ask, start } from './child.js'
import type { LeaveClientQuestion } from './connections/leave-client.js'
import type { LeaveServerQuestion } from './connections/leave-server.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { median, round } from './statistics.js'

const subjects = ['node-http', 'mediator']

interface Left {
  /** From the socket's close to the generator's `finally`, in milliseconds, sorted. */
  readonly delays: readonly number[]
  /** Microseconds of CPU time. */
  readonly cpuEach: number
}

/** Measures how long it takes until a generator is finished whose client has left in the middle of its stream, and what that costs. */
export async function disconnectRows ({ scale, rounds }: Effort): Promise<Row[]> {
  const count = 2_000 / scale
  const client = start('connections/leave-client.js')
  const started = await Promise.all(subjects.map(async subject => {
    const server = start('connections/leave-server.js', { args: [subject] })
    const asked = async <Answer>(question: LeaveServerQuestion): Promise<Answer> => await ask<Answer>(server, question)
    return { subject, server, asked, port: await asked<number>('port'), left: [] as Left[] }
  }))
  const clientAsked = async <Answer>(question: LeaveClientQuestion): Promise<Answer> => await ask<Answer>(client, question)
  for (let current = 0; current <= rounds; current++) {
    for (const { asked, port, left } of started) {
      await clientAsked({ ask: 'connect', port, count })
      const before = await asked<number>('cpu')
      const leftAt = await clientAsked<number[]>({ ask: 'leave' })
      const finishedAt = await asked<number[]>('finished')
      const after = await asked<number>('cpu')
      if (finishedAt.length !== count) throw new Error(`${finishedAt.length} of ${count} generators were finished`)
      const delays = finishedAt.map((at, stream) => at - leftAt[stream]!).sort((a, b) => a - b)
      // Round 0 warms up.
      if (current > 0) left.push({ delays, cpuEach: (after - before) / count })
    }
    showProgress(`${count} clients that leave: round`, current, rounds)
  }
  client.disconnect()
  for (const { server } of started) server.disconnect()
  return started.map(({ subject, left }) => {
    const at = (part: number): number => round(median(left.map(({ delays }) => delays[Math.ceil(delays.length * part) - 1]!)))
    return {
      scenario: `${count} clients leave, one after the other`,
      subject,
      'median ms': at(0.5),
      'p99 ms': at(0.99),
      'longest ms': at(1),
      'CPU µs each': round(median(left.map(({ cpuEach }) => cpuEach))),
      'CPU ratio': round(median(left.map(({ cpuEach }, index) => cpuEach / started[0]!.left[index]!.cpuEach)))
    }
  })
}
