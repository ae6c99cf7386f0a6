import createError from '@fastify/error'

export const TaskNotFoundError = createError<[string]>('EXAMPLE_ERR_TASK_NOT_FOUND', 'There is no task %s: GET /tasks lists them', 404)

export const TaskRunningError = createError<[string]>('EXAMPLE_ERR_TASK_RUNNING', 'Task %s runs already', 409)

export const TaskDroppedError = createError<[string]>('EXAMPLE_ERR_TASK_DROPPED', 'Task %s was dropped to make room for newer ones', 410)

export const StepFailedError = createError<[number]>('EXAMPLE_ERR_STEP_FAILED', 'Step %d has failed, as it does each time', 422)

export const BoardFullError = createError<[]>('EXAMPLE_ERR_BOARD_FULL', 'All tasks that fit are running', 503)
