import type { Frame } from '../../lib/testing/index.js'

/** The names of the frames, in order. */
export function namesOf (frames: readonly Frame[]): Array<string | undefined> {
  return frames.map(({ event }) => event)
}
