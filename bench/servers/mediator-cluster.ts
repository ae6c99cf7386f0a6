import cluster from 'node:cluster'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { answer } from '../answer.js'
import { ask } from '../child.js'
import type { ServerQuestion } from '../serve.js'

// The server of mediator.ts in a process a core, two at least. The primary process accepts the connections: its CPU time counts as well.
if (cluster.isPrimary) {
  const workers = Array.from({ length: Math.max(2, availableParallelism()) }, () => cluster.fork())
  const [port] = await Promise.all(workers.map(async worker => {
    const [address] = await once(worker, 'listening') as [{ port: number }]
    return address.port
  }))
  answer(async (question: ServerQuestion) => {
    if (question === 'port') return port
    const answers = await Promise.all(workers.map(async ({ process }) => await ask<number>(process, question)))
    const { user, system } = process.cpuUsage()
    return answers.reduce((sum, number) => sum + number, question === 'cpu' ? user + system : 0)
  })
} else {
  await import('./mediator.js')
}
