import type { FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { commandRoute } from '../../index.js'
import type { InputOf } from '../../index.js'
import { Countdown, CountdownPath, CreateTask, ExecuteTask, FailMidway, ListTasks, TaskPath, WatchSystem, WatchTask, WatchTasks } from './contracts.js'
import { countdown } from './countdown.js'
import { executeTaskOf } from './execute-task.js'
import { failMidwayIn } from './fail-midway.js'
import { SystemMonitor } from './system-monitor.js'
import { TaskBoard } from './task-board.js'

declare module 'fastify' {
  interface FastifyInstance {
    tasks: TaskBoard
    system: SystemMonitor
  }
}

export interface TasksOptions {
  /** How long one step of a task takes, in milliseconds. @default 400 */
  readonly stepMs?: number
  /** How often the process is measured, in milliseconds. @default 1_000 */
  readonly sampleMs?: number
}

/** Tasks that can be run and watched, and streams of other kinds. All that is watched is a GET, for EventSource. */
export const tasks = fastifyPlugin<TasksOptions>(async (app, { stepMs = 400, sampleMs = 1_000 }) => {
  app.decorate('tasks', new TaskBoard())
  app.decorate('system', new SystemMonitor(sampleMs))

  app.mediator.addHandler(CreateTask, input => app.tasks.add(input))
  app.mediator.addHandler(ListTasks, () => app.tasks.all)
  app.mediator.addHandler(ExecuteTask, executeTaskOf(app.tasks, stepMs))
  app.mediator.addHandler(WatchTask, ({ taskId }, { signal }) => app.tasks.watch([taskId], signal))
  app.mediator.addHandler(WatchTasks, ({ ids }, { signal }) => app.tasks.watch(ids, signal))
  app.mediator.addHandler(WatchSystem, (_input, { signal }) => app.system.watch(signal))
  app.mediator.addHandler(Countdown, countdown)
  app.mediator.addHandler(FailMidway, failMidwayIn(stepMs))

  // A status that must be certain is decided before the stream.
  async function requireTask ({ params }: FastifyRequest): Promise<void> {
    app.tasks.find((params as { id: string }).id)
  }

  async function requireTasks ({ query }: FastifyRequest): Promise<void> {
    for (const id of (query as InputOf<typeof WatchTasks>).ids) app.tasks.find(id)
  }

  app.route(commandRoute(CreateTask, { url: '/tasks', schema: { summary: 'Makes a task, which waits to be executed' } }))
  app.route(commandRoute(ListTasks, { url: '/tasks', method: 'GET', schema: { summary: 'Lists the tasks' } }))

  app.route(commandRoute(WatchTask, {
    url: '/tasks/:id/progress',
    method: 'GET',
    schema: { summary: 'Streams how a task stands, until it is done', params: TaskPath },
    preHandler: requireTask,
    map: ({ params: { id: taskId } }) => ({ taskId })
  }))
  // The path says all: there is no body to be sent.
  app.route(commandRoute(ExecuteTask, {
    url: '/tasks/:id/execute',
    schema: { summary: 'Runs a task and streams its steps; who leaves stops it', params: TaskPath },
    preHandler: requireTask,
    map: ({ params: { id: taskId } }) => ({ taskId })
  }))

  app.route(commandRoute(WatchTasks, {
    url: '/stream/tasks', method: 'GET', schema: { summary: 'Streams how several tasks stand, until all are done' }, preHandler: requireTasks
  }))
  app.route(commandRoute(WatchSystem, {
    url: '/stream/system', method: 'GET', schema: { summary: "Streams figures of the server's process" }
  }))
  app.route(commandRoute(Countdown, {
    url: '/stream/countdown/:seconds',
    method: 'GET',
    schema: { summary: 'Counts seconds down', params: CountdownPath },
    map: ({ params }) => params
  }))
  app.route(commandRoute(FailMidway, { url: '/stream/failing', method: 'GET', schema: { summary: 'Streams some steps and fails' } }))
})
