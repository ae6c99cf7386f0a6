import { EventEmitter, once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { ProgressOf } from '../../index.js'
import type { WatchSystem } from './contracts.js'

type Figure = ProgressOf<typeof WatchSystem>

const resolutionMs = 10

/** Measures this process while somebody watches: once for all of them, because a histogram takes memory. */
export class SystemMonitor {
  readonly #intervalMs: number
  readonly #samples = new EventEmitter().setMaxListeners(0)
  #watching = 0
  #stop = (): void => {}

  constructor (intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  /** How many watch. */
  get watching (): number {
    return this.#watching
  }

  /** The figures of one interval after the other, until the signal aborts. A reader who is slow misses some. */
  async * watch (signal: AbortSignal): AsyncGenerator<Figure, void, void> {
    if (this.#watching++ === 0) this.#start()
    try {
      for (;;) {
        const [figures] = await once(this.#samples, 'sample', { signal }) as [Figure[]]
        yield * figures
      }
    } finally {
      if (--this.#watching === 0) this.#stop()
    }
  }

  #start (): void {
    const delay = monitorEventLoopDelay({ resolution: resolutionMs })
    delay.enable()
    let cpu = process.cpuUsage()
    let at = performance.now()
    const timer = setInterval(() => {
      const { user, system } = process.cpuUsage(cpu)
      const now = performance.now()
      const percent = Math.round((user + system) / 1_000 / (now - at) * 100)
      cpu = process.cpuUsage()
      at = now
      const { rss: rssBytes, heapUsed: heapUsedBytes } = process.memoryUsage()
      // What it waits itself is in them. Without a count there is no mean.
      const [meanMs, maxMs] = [delay.mean, delay.max].map(ns => Math.max(0, Math.round((ns / 1_000_000 - resolutionMs) * 100) / 100) || 0) as [number, number]
      delay.reset()
      const figures: Figure[] = [
        { event: 'cpu', data: { percent } },
        { event: 'memory', data: { rssBytes, heapUsedBytes } },
        { event: 'loop-delay', data: { meanMs, maxMs: Math.max(meanMs, maxMs) } }
      ]
      this.#samples.emit('sample', figures)
    }, this.#intervalMs)
    timer.unref()
    this.#stop = () => {
      clearInterval(timer)
      delay.disable()
    }
  }
}
