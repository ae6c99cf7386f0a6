import type { Samples } from './samples.js'
import { Subject } from './subject.js'
import { works } from './works.js'
import type { Work } from './works.js'

interface Cost {
  readonly cpu: number
  readonly bytes: number
  readonly firstMs: readonly number[]
}

const warmUps = 5

/**
 * Measures CPU time and the time to the first event. Each pair is two new processes, because what V8 compiles differs from process to
 * process.
 */
export async function measureTimes (samples: Samples, { pairs, rounds }: { pairs: number, rounds: number }): Promise<void> {
  for (let pair = 0; pair < pairs; pair++) {
    await withSubjects([], rounds, (work, own, other) => {
      samples.add(`CPU per ${work.name}`, own.cpu / other.cpu)
      // The lower quarter: what waited for a core of a busy machine says nothing about us.
      if (work.name === 'first event') samples.add('time to first event', lowerQuartile(own.firstMs) / lowerQuartile(other.firstMs))
    })
  }
}

/** Measures what is allocated, in two new processes whose young generation is never full: nothing is collected while it is measured. */
export async function measureBytes (samples: Samples, { rounds }: { rounds: number }): Promise<void> {
  await withSubjects(['--expose-gc', '--min-semi-space-size=256', '--max-semi-space-size=256'], rounds, (work, own, other) => {
    samples.add(`bytes per ${work.name}`, own.bytes / other.bytes)
  })
}

async function withSubjects (execArgv: readonly string[], rounds: number, add: (work: Work, own: Cost, other: Cost) => void): Promise<void> {
  const subjects = await Promise.all([Subject.start('mediator-server.js', execArgv), Subject.start('reference-server.js', execArgv)])
  for (let round = -warmUps; round < rounds; round++) {
    for (const work of works) {
      const costs = await compare(work, subjects)
      if (round >= 0) add(work, ...costs)
    }
  }
  for (const subject of subjects) subject.stop()
}

/** Does the same work with both, stream by stream in turn, so that whatever slows the machine down slows both down. */
async function compare (work: Work, subjects: readonly [Subject, Subject]): Promise<[Cost, Cost]> {
  const before = [await subjects[0].usage('before'), await subjects[1].usage('before')] as const
  const firstMs: [number[], number[]] = [[], []]
  for (let stream = 0; stream < work.streams; stream++) {
    for (const index of stream % 2 === 0 ? [0, 1] as const : [1, 0] as const) firstMs[index].push(await subjects[index].read(work.count))
  }
  const after = [await subjects[0].usage('after'), await subjects[1].usage('after')] as const
  const cost = (index: 0 | 1): Cost => ({
    cpu: after[index].cpu - before[index].cpu,
    bytes: after[index].bytes - before[index].bytes,
    firstMs: firstMs[index]
  })
  return [cost(0), cost(1)]
}

function lowerQuartile (numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 4)]!
}
