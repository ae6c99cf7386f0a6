import type { ChildProcess } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, start } from './child.js'
import type { Measured, Task } from './client.js'
import type { ServerQuestion } from './serve.js'
import { median } from './statistics.js'

/** A server that is measured, in a process of its own. */
export interface Server {
  readonly name: string
  readonly child: ChildProcess
  readonly port: number
}

/** What one task has cost the server. CPU time is user and system time of its process, in microseconds. */
export interface Figures {
  readonly eventsPerSecond: number
  /** Where streams were held: of the events alone, without what opening the streams took. */
  readonly cpuPerEvent: number
  /** Where streams were held: of what opening it took alone. */
  readonly cpuPerStream: number
  readonly firstEventMs: number
}

// After the last request: servers answer it, and the mediator sends its first frame to streams without an event after 50 ms.
const settleMs = 200

/** Starts one of the programs in `servers/`. */
export async function startServer (name: string): Promise<Server> {
  const child = start(`servers/${name}.js`)
  return { name, child, port: await askServer(child, 'port') }
}

/** Lets the client do a task, and fails where an event did not arrive. */
export async function measure (client: ChildProcess, { name, child, port }: Server, task: Omit<Task, 'port'>): Promise<Figures> {
  const streams = task.connections * (task.streams ?? 1)
  const expected = task.count * streams
  const requestsBefore = await askServer(child, 'requests')
  const before = await askServer(child, 'cpu')
  let startedAt = performance.now()
  const measuring = ask<Measured>(client, { ...task, port })
  let held = before
  if (task.held) {
    while (await askServer(child, 'requests') < requestsBefore + task.connections) await sleep(10)
    await sleep(settleMs)
    held = await askServer(child, 'cpu')
    startedAt = performance.now()
    await askServer(child, 'release')
  }
  const measured = await measuring
  const seconds = (performance.now() - startedAt) / 1_000
  const after = await askServer(child, 'cpu')
  if (measured.received !== expected) throw new Error(`${measured.received} events of ${name} arrived, not ${expected}`)
  return {
    eventsPerSecond: expected / seconds,
    cpuPerEvent: (after - held) / expected,
    cpuPerStream: ((task.held ? held : after) - before) / streams,
    firstEventMs: median(measured.firstEventMs)
  }
}

function askServer (child: ChildProcess, question: ServerQuestion): Promise<number> {
  return ask<number>(child, question)
}
