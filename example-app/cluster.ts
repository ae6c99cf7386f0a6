import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import { pino } from 'pino'
import type { Settings } from './settings.js'

const signals = ['SIGINT', 'SIGTERM'] as const
// A worker that lives so long has not failed at its start.
const settledMs = 10_000
const firstDelayMs = 100
const longestDelayMs = 30_000
// Longer than a worker gives itself to close: what is still there then does not listen to signals.
const killMs = 14_000

const ownState = 'each worker has uploads, imports, files of exports, tasks, orders and kept streams of its own: ' +
  'a page whose next request another one gets does not find them'
const ownDatabases = 'each worker has a database of its own: share one with DATABASE_URL'

/**
 * Runs the app in so many processes, which share its port. A worker that dies is replaced: at once when it has lived for a while, and after
 * pauses that double when new ones die at their start. `SIGTERM` and `SIGINT` let all workers close, and end this process when they have.
 */
export function runWorkers ({ workers: count, databaseUrl }: Pick<Settings, 'workers' | 'databaseUrl'>): void {
  const log = pino()
  log.warn(ownState)
  if (databaseUrl === undefined) log.warn(ownDatabases)
  const pauses = new Set<NodeJS.Timeout>()
  let stopping = false
  let ready = false
  let exitCode = 0
  let diedAtStart = 0

  function fork (): void {
    const startedAt = performance.now()
    const worker = cluster.fork()
    worker.once('listening', () => {
      if (ready || stopping) return
      // The first one has found its port and its files: so will the others.
      ready = true
      for (let index = 1; index < count; index++) fork()
    })
    worker.once('exit', (code, signal) => {
      if (stopping) return leave(code, signal)
      if (!ready) {
        // It has said why. Others would end in the same way.
        exitCode = 1
        return stop()
      }
      replace(worker, code ?? signal, performance.now() - startedAt)
    })
  }

  function replace (worker: Worker, cause: number | string, livedMs: number): void {
    diedAtStart = livedMs < settledMs ? diedAtStart + 1 : 0
    const delayMs = diedAtStart === 0 ? 0 : Math.min(longestDelayMs, firstDelayMs * 2 ** (diedAtStart - 1))
    log.error({ worker: worker.process.pid, cause, delayMs }, 'a worker died, and another one starts')
    const pause = setTimeout(() => {
      pauses.delete(pause)
      fork()
    }, delayMs)
    pauses.add(pause)
  }

  function stop (): void {
    if (stopping) return
    stopping = true
    for (const pause of pauses) clearTimeout(pause)
    for (const worker of workers()) worker.process.kill('SIGTERM')
    setTimeout(() => {
      exitCode = 1
      for (const worker of workers()) worker.process.kill('SIGKILL')
    }, killMs).unref()
    leave(0, null)
  }

  function leave (code: number | null, signal: string | null): void {
    // A worker that was starting knows no signals yet, and serves nobody.
    if (code !== 0 && !signals.some(name => name === signal)) exitCode = 1
    if (workers().length === 0) process.exit(exitCode)
  }

  for (const signal of signals) process.on(signal, stop)
  fork()
}

function workers (): Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker): worker is Worker => worker !== undefined && !worker.isDead())
}
