import { randomBytes } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import type { InputOf } from '../../index.js'
import type { CreateTask, TaskInfo } from './contracts.js'
import { BoardFullError, TaskDroppedError, TaskNotFoundError, TaskRunningError } from './errors.js'
import { TaskRun } from './task-run.js'

const maxTasks = 100

/** The tasks in memory, the newest hundred of them, and who watches them. */
export class TaskBoard {
  readonly #tasks = new Map<string, TaskInfo>()
  // One event for each task, which has its id for a name.
  readonly #changes = new EventEmitter().setMaxListeners(0)

  get all (): TaskInfo[] {
    return [...this.#tasks.values()]
  }

  /** @throws EXAMPLE_ERR_BOARD_FULL */
  add ({ name, steps }: InputOf<typeof CreateTask>): TaskInfo {
    if (this.#tasks.size >= maxTasks) this.#dropOldest()
    const taskId = randomBytes(6).toString('hex')
    return this.#set({ taskId, name, steps, done: 0, state: 'waiting' })
  }

  /** @throws EXAMPLE_ERR_TASK_NOT_FOUND */
  find (taskId: string): TaskInfo {
    const task = this.#tasks.get(taskId)
    if (task === undefined) throw new TaskNotFoundError(taskId)
    return task
  }

  /** Whoever calls this runs the task, alone. @throws EXAMPLE_ERR_TASK_NOT_FOUND, EXAMPLE_ERR_TASK_RUNNING */
  begin (taskId: string): TaskRun {
    const task = this.find(taskId)
    if (task.state === 'running') throw new TaskRunningError(taskId)
    return new TaskRun(task, changed => { this.#set(changed) })
  }

  /**
   * The tasks as they stand, and each again when it has changed, until all are done. A reader who is slow misses what was in between, so that
   * nothing piles up for it. @throws EXAMPLE_ERR_TASK_NOT_FOUND, EXAMPLE_ERR_TASK_DROPPED
   */
  async * watch (taskIds: readonly string[], signal: AbortSignal): AsyncGenerator<TaskInfo, { done: number }, void> {
    for (const taskId of taskIds) this.find(taskId)
    const untold = new Set(taskIds)
    const unfinished = new Set(taskIds)
    const bell = new EventEmitter()
    const onChange = (taskId: string): void => {
      untold.add(taskId)
      bell.emit('ring')
    }
    for (const taskId of taskIds) this.#changes.on(taskId, onChange)
    try {
      while (unfinished.size > 0) {
        if (untold.size === 0) await once(bell, 'ring', { signal })
        for (const taskId of untold) {
          untold.delete(taskId)
          const task = this.#tasks.get(taskId)
          if (task === undefined) throw new TaskDroppedError(taskId)
          if (task.state === 'done') unfinished.delete(taskId)
          else unfinished.add(taskId)
          yield task
        }
      }
      return { done: taskIds.length }
    } finally {
      for (const taskId of taskIds) this.#changes.off(taskId, onChange)
    }
  }

  #set (task: TaskInfo): TaskInfo {
    this.#tasks.set(task.taskId, task)
    this.#changes.emit(task.taskId, task.taskId)
    return task
  }

  #dropOldest (): void {
    const oldest = this.all.find(({ state }) => state !== 'running')
    if (oldest === undefined) throw new BoardFullError()
    this.#tasks.delete(oldest.taskId)
    this.#changes.emit(oldest.taskId, oldest.taskId)
  }
}
