import { setTimeout } from 'node:timers/promises'
import type { Handler } from '../../index.js'
import type { FailMidway } from './contracts.js'
import { StepFailedError } from './errors.js'

const steps = 5
const failingStep = 4

/** The answer was a 200 long ago when it fails: its last frame says so. */
export function failMidwayIn (stepMs: number): Handler<typeof FailMidway> {
  return async function * (_input, { signal }) {
    for (let step = 1; step < failingStep; step++) {
      yield { step, steps }
      await setTimeout(stepMs, undefined, { signal })
    }
    throw new StepFailedError(failingStep)
  }
}
