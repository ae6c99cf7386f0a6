import { performance } from 'node:perf_hooks'

/** What a piece of work took, in milliseconds. */
export interface Took {
  readonly wallMs: number
  /** User and system time of the whole process: its garbage collection and compilation too. */
  readonly cpuMs: number
}

export async function timed (run: () => Promise<void>): Promise<Took> {
  const startedAt = performance.now()
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return { wallMs: performance.now() - startedAt, cpuMs: (user + system) / 1_000 }
}
