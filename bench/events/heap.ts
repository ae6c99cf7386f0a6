import { setTimeout as sleep } from 'node:timers/promises'

// Code that is being optimized is on the heap twice, by up to 260 KB here, until the compiler's thread has finished and a
// further collection has dropped the old version. The least of some collections has neither.
const passes = 5
const pauseMs = 10

/** Bytes of the heap that are reachable, once what runs has come to rest. Needs `--expose-gc`. */
export async function heapUsed (): Promise<number> {
  let least = Infinity
  for (let pass = 0; pass < passes; pass++) {
    await sleep(pauseMs)
    globalThis.gc!()
    least = Math.min(least, process.memoryUsage().heapUsed)
  }
  return least
}
