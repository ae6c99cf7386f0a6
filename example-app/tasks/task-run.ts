import type { TaskInfo } from './contracts.js'

/** A task in the hands of the one who runs it. When it is done somebody else may run it again: what this one sees of it stays as it was. */
export class TaskRun {
  readonly #tell: (task: TaskInfo) => void
  #task: TaskInfo

  constructor (task: TaskInfo, tell: (task: TaskInfo) => void) {
    this.#tell = tell
    this.#task = { ...task, done: 0, state: 'running' }
    tell(this.#task)
  }

  get task (): TaskInfo {
    return this.#task
  }

  /** One step more is done. */
  advance (): void {
    const done = this.#task.done + 1
    this.#set({ ...this.#task, done, state: done === this.#task.steps ? 'done' : 'running' })
  }

  /** At the end, or before. */
  leave (): void {
    if (this.#task.state === 'running') this.#set({ ...this.#task, state: 'stopped' })
  }

  #set (task: TaskInfo): void {
    this.#task = task
    this.#tell(task)
  }
}
