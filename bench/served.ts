import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { ask, start } from './child.js'
import type { Measured, Task } from './client.js'
import { median } from './statistics.js'

/** A server that is measured, in a process of its own. */
export interface Server {
  readonly name: string
  readonly child: ChildProcess
  readonly port: number
}

/** What one task has cost the server. */
export interface Figures {
  readonly eventsPerSecond: number
  readonly cpuSecondsPerMillion: number
  readonly firstEventMs: number
}

/** Starts one of the programs in `servers/`. */
export async function startServer (name: string): Promise<Server> {
  const child = start(`servers/${name}.js`)
  const [{ port }] = await once(child, 'message') as [{ port: number }]
  return { name, child, port }
}

/** Lets the client do a task, and fails where an event did not arrive. */
export async function measure (client: ChildProcess, { child, port }: Server, task: Omit<Task, 'port'>): Promise<Figures> {
  const before = await cpuOf(child)
  const measured = await ask<Measured>(client, { ...task, port })
  const after = await cpuOf(child)
  const expected = task.count * task.connections * task.streams
  if (measured.received < expected) throw new Error(`only ${measured.received} of ${expected} events arrived`)
  return {
    eventsPerSecond: expected / measured.wallMs * 1_000,
    cpuSecondsPerMillion: (after - before) / expected,
    firstEventMs: median(measured.firstEventMs)
  }
}

// Microseconds of user and system time.
async function cpuOf (server: ChildProcess): Promise<number> {
  const { cpu } = await ask<{ cpu: NodeJS.CpuUsage }>(server, 'cpu')
  return cpu.user + cpu.system
}
