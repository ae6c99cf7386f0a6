import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { childEnvironment } from '../support/child-environment.js'

const cwd = fileURLToPath(new URL('../..', import.meta.url))

/** What `npm start` runs, in a process that gets its signals itself. It ends with the test. */
export function startServer (t: Test, env: Record<string, string>): { child: ChildProcess, output: () => string, errors: () => string } {
  const child = spawn(process.execPath, ['--import', 'tsx', 'example-app/server.ts'], { cwd, env: { ...childEnvironment, ...env } })
  t.teardown(() => child.kill())
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', text => { output += text })
  child.stderr.setEncoding('utf8').on('data', text => { errors += text })
  return { child, output: () => output, errors: () => errors }
}
