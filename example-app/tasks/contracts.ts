import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'
import { defineCommand, defineQuery } from '../../index.js'

const TaskId = Type.String({ minLength: 1, maxLength: 64, description: 'As POST /tasks has answered it' })
const Name = Type.String({ minLength: 1, maxLength: 100 })
const Steps = Type.Integer({ minimum: 1, maximum: 100 })

const TaskSchema = Type.Object({
  taskId: TaskId,
  name: Name,
  steps: Steps,
  done: Type.Integer({ minimum: 0, description: 'Steps that are done' }),
  state: Type.Union([Type.Literal('waiting'), Type.Literal('running'), Type.Literal('done'), Type.Literal('stopped')])
})
/** A task as it stands. */
export type TaskInfo = Static<typeof TaskSchema>

export const TaskPath = Type.Object({ id: TaskId })
export const CountdownPath = Type.Object({ seconds: Type.Integer({ minimum: 1, maximum: 60 }) })

/** No progress: a plain request with a plain answer. */
export const CreateTask = defineCommand({
  name: 'create-task',
  input: Type.Object({ name: Name, steps: Steps }),
  result: TaskSchema
})

export const ListTasks = defineQuery({
  name: 'list-tasks',
  input: Type.Object({}),
  result: Type.Array(TaskSchema)
})

/** Runs the steps of a task. Who leaves stops it. */
export const ExecuteTask = defineCommand({
  name: 'execute-task',
  input: Type.Object({ taskId: TaskId }),
  progress: Type.Object({ step: Type.Integer({ minimum: 1 }), steps: Steps, durationMs: Type.Number({ minimum: 0 }) }),
  result: TaskSchema
})

/** How a task stands, and each change of it until it is done. Running or stopping it is none of its business. */
export const WatchTask = defineQuery({
  name: 'watch-task',
  input: Type.Object({ taskId: TaskId }),
  progress: TaskSchema,
  result: Type.Object({ done: Type.Integer() })
})

/** The same for several tasks, on one connection. */
export const WatchTasks = defineQuery({
  name: 'watch-tasks',
  input: Type.Object({ ids: Type.Array(TaskId, { minItems: 1, maxItems: 20, uniqueItems: true }) }),
  progress: TaskSchema,
  result: Type.Object({ done: Type.Integer() })
})

const Bytes = Type.Integer({ minimum: 0 })
const Ms = Type.Number({ minimum: 0 })

/** Figures of the server's process, for as long as its reader stays. Three kinds of progress, each an event with a name of its own. */
export const WatchSystem = defineQuery({
  name: 'watch-system',
  input: Type.Object({}),
  progress: {
    cpu: Type.Object({ percent: Type.Number({ minimum: 0, description: 'Of one core' }) }),
    memory: Type.Object({ rssBytes: Bytes, heapUsedBytes: Bytes }),
    'loop-delay': Type.Object({ meanMs: Ms, maxMs: Ms })
  }
})

export const Countdown = defineQuery({
  name: 'countdown',
  input: CountdownPath,
  progress: { tick: Type.Object({ remaining: Type.Integer() }) },
  result: Type.Object({ seconds: Type.Integer() })
})

/** Fails after some of its steps. What was told before stays told. */
export const FailMidway = defineQuery({
  name: 'fail-midway',
  input: Type.Object({}),
  progress: Type.Object({ step: Type.Integer(), steps: Type.Integer() })
})
