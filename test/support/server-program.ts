import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'

/** Where a program is; undefined where it is not installed. Debian keeps servers in folders that users do not search. */
export async function findProgram (name: string, folders: readonly string[] = ['/usr/sbin', '/usr/local/sbin']): Promise<string | undefined> {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), ...folders]) {
    const path = join(folder, name)
    if (await access(path, constants.X_OK).then(() => true, () => false)) return path
  }
  return undefined
}

export interface ServerCommand {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** The user that it runs as. @default that of the tests */
  readonly uid?: number | undefined
}

/**
 * Runs a server at a port of its own, and resolves that port when it accepts connections. It ends with the test, and with the test's process if
 * that ends first.
 */
export async function startServer (t: Test, commandFor: (port: number) => Promise<ServerCommand>): Promise<number> {
  // Between the moment when a port is found free and the server's start another test may have taken it.
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const command = await commandFor(port)
    const problem = await startProgram(t, command, port)
    if (problem === undefined) return port
    if (attempt === 3) throw new Error(`${command.program} does not start: ${problem}`)
  }
}

// The shell waits for the end of its input, which comes when this process ends, however it does.
const guard = 'exec 3<&0; "$@" </dev/null & server=$!; { read line <&3; kill -9 $server; } >/dev/null 2>&1 & wait $server'

/** @returns what the program said when it ended instead of listening */
async function startProgram (t: Test, { program, args, env = process.env, uid }: ServerCommand, port: number): Promise<string | undefined> {
  const child = spawn('sh', ['-c', guard, 'sh', program, ...args], { stdio: ['pipe', 'ignore', 'pipe'], env, ...(uid !== undefined && { uid }) })
  let said = ''
  child.stderr.setEncoding('utf8')
  child.stderr.on('data', (text: string) => { said += text })
  const ended = once(child, 'close')
  t.teardown(async () => {
    child.stdin.end()
    await ended
  })
  while (child.exitCode === null && child.signalCode === null) {
    if (await accepts(port)) return undefined
    await sleep(20)
  }
  return said
}

async function accepts (port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  const accepted = await new Promise<boolean>(resolve => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
  socket.destroy()
  return accepted
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
