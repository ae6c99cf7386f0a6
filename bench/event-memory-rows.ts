import { ask, start } from './child.js'
import { showProgress } from './progress.js'
import type { Effort, Row } from './row.js'
import { round, slope } from './statistics.js'

// A point is the reachable heap after a further tenth of the work. Before the first one the compiler has to finish.
const points = 10
const warmUps = 5

// A leaked reference takes 8 bytes at least, so that less than one byte each is none.
const maxBytesEach = 1
// Code that is optimized late, or dropped because it was not used, has moved a heap by up to 260 KB, once.
const noiseBytes = 300 * 1_024

/** Measures whether the reachable heap grows with what has been done: it must not, however long a process runs. */
export async function eventMemoryRows ({ scale }: Effort): Promise<Row[]> {
  const rows: Row[] = []
  for (const { file, each, count } of [
    { file: 'one-stream', each: 'events', count: 1_000_000 / scale },
    { file: 'streams', each: 'streams', count: 100_000 / scale },
    { file: 'endings', each: 'streams', count: 100_000 / scale }
  ]) {
    const child = start(`events/memory-${file}.js`, { execArgv: ['--expose-gc'] })
    const scenario = `${count / 1_000}k ${each}`
    const heap: number[] = []
    for (let point = 1 - warmUps; point <= points; point++) {
      const used = await ask<number>(child, count / points)
      if (point >= 0) heap.push(used)
      showProgress(`heap, ${scenario}, ${file}: point`, Math.max(point, 0), points)
    }
    child.disconnect()

    const growth = slope(heap) * points
    rows.push({
      scenario,
      subject: file,
      'heap KB': Math.round(heap[0]! / 1_024),
      'end KB': Math.round(heap[points]! / 1_024),
      'trend bytes': Math.round(growth),
      'trend bytes each': round(growth / count),
      flat: growth <= Math.max(noiseBytes, count * maxBytesEach)
    })
  }
  return rows
}
