import { start } from './child.js'
import type { Task } from './client.js'
import { showProgress } from './progress.js'
import type { Row } from './row.js'
import { measure, startServer } from './served.js'
import type { Figures, Server } from './served.js'
import { median, round } from './statistics.js'

/** A server of the comparison. */
export interface Subject {
  readonly name: string
  /** The part of the events that a slow one is given, so that the others need not wait for it. @default 1 */
  readonly share?: number
}

/** The figures of each subject, one a round. */
export type Results = ReadonlyMap<string, readonly Figures[]>

/** What can be done with servers that have been started. */
export type Compare = (title: string, task: Omit<Task, 'port'>, rounds: number) => Promise<Results>

/** Starts servers, lets each do the same tasks, in turn, once a round, and ends them. */
export async function withServers<T> (subjects: readonly Subject[], run: (compare: Compare) => Promise<T>): Promise<T> {
  const client = start('client.js')
  const servers: Server[] = []
  for (const { name } of subjects) servers.push(await startServer(name))
  const result = await run(async (title, task, rounds) => {
    const results = new Map<string, Figures[]>(subjects.map(({ name }) => [name, []]))
    for (let current = 0; current <= rounds; current++) {
      for (const [index, { name, share = 1 }] of subjects.entries()) {
        const figures = await measure(client, servers[index]!, { ...task, count: Math.max(1, Math.round(task.count * share)) })
        // Round 0 warms up.
        if (current > 0) results.get(name)!.push(figures)
      }
      showProgress(`${title}: round`, current, rounds)
    }
    return results
  })
  client.disconnect()
  for (const { child } of servers) child.disconnect()
  return result
}

/** One figure of a subject in each round, divided by the same figure of another one. */
export function ratios (results: Results, subject: string, reference: string, figure: keyof Figures): number[] {
  return results.get(subject)!.map((figures, round) => figures[figure] / results.get(reference)![round]![figure])
}

/** The median of one figure of a subject. */
export function medianOf (results: Results, subject: string, figure: keyof Figures): number {
  return round(median(results.get(subject)!.map(figures => figures[figure])))
}

/** A row for each subject: the medians of some figures under the names that are printed, and their ratios to those of a reference. */
export function comparedRows (scenario: string, results: Results, reference: string, printed: Readonly<Partial<Record<keyof Figures, string>>>): Row[] {
  return [...results.keys()].map(subject => ({
    scenario,
    subject,
    ...Object.fromEntries(Object.entries(printed).flatMap(([figure, name]) => [
      [name, medianOf(results, subject, figure as keyof Figures)],
      [`${name} ratio`, round(median(ratios(results, subject, reference, figure as keyof Figures)))]
    ]))
  }))
}
