import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** Starts a file of the bench as a process of its own. One that dies must end the bench, not leave it waiting for an answer. */
export function start (file: string, { args = [], execArgv = [] }: { args?: readonly string[], execArgv?: readonly string[] } = {}): ChildProcess {
  return fork(new URL(file, import.meta.url), args, { execArgv: [...execArgv] }).once('exit', code => {
    if (code !== 0) throw new Error(`${[file, ...args].join(' ')} ended with ${code}`)
  })
}

/** Sends a question, and resolves with the next message of the process. */
export async function ask<Answer> (child: ChildProcess, question: unknown): Promise<Answer> {
  child.send(question as object)
  const [answer] = await once(child, 'message') as [Answer]
  return answer
}
