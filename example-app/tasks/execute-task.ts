import { setTimeout } from 'node:timers/promises'
import type { Handler } from '../../index.js'
import type { ExecuteTask } from './contracts.js'
import type { TaskBoard } from './task-board.js'

/** Runs a task step by step. Whatever ends it, the task knows. */
export function executeTaskOf (board: TaskBoard, stepMs: number): Handler<typeof ExecuteTask> {
  return async function * ({ taskId }, { signal }) {
    // Found and marked in one turn, before the first frame: of two who ask at once, one is told 409.
    const run = board.begin(taskId)
    const { steps } = run.task
    try {
      for (let step = 1; step <= steps; step++) {
        const startedAt = performance.now()
        await setTimeout(stepMs, undefined, { signal })
        run.advance()
        yield { step, steps, durationMs: performance.now() - startedAt }
      }
      return run.task
    } finally {
      run.leave()
    }
  }
}
