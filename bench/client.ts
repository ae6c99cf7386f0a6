import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'

/** What the bench asks its client process to do. */
export interface Task {
  readonly port: number
  readonly connections: number
  /** Events a stream. */
  readonly count: number
  /** How many streams each connection reads, one after the other. */
  readonly streams: number
  /** How many connections read one and the same stream, by a key that they share. @default each its own, without a key */
  readonly readers?: number
}

/** What the client measured, in milliseconds. */
export interface Measured {
  readonly wallMs: number
  readonly received: number
  /** From the request to the first progress event, one a stream. */
  readonly firstEventMs: readonly number[]
}

const newline = 10

// No key is used again by a later task.
let run = ''

// Raw sockets: an HTTP client would take more of the machine than the servers that are measured.
process.on('message', async (task: Task) => {
  run = randomUUID()
  const startedAt = performance.now()
  const each = await Promise.all(Array.from({ length: task.connections }, (_, index) => readStreams(task, index)))
  const measured: Measured = {
    wallMs: performance.now() - startedAt,
    received: each.reduce((sum, { received }) => sum + received, 0),
    firstEventMs: each.flatMap(({ firstEventMs }) => firstEventMs)
  }
  process.send!(measured)
})
process.on('disconnect', () => process.exit())

async function readStreams ({ port, count, streams, readers }: Task, index: number): Promise<{ received: number, firstEventMs: number[] }> {
  const firstEventMs: number[] = []
  let received = 0
  for (let stream = 0; stream < streams; stream++) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await new Promise(resolve => socket.once('connect', resolve))
    const key = readers === undefined ? '' : `&idempotencyKey=${run}-${stream}-${Math.floor(index / readers)}`
    const one = await readStream(socket, `/?count=${count}${key}`)
    received += one.received
    firstEventMs.push(one.firstEventMs)
    socket.destroy()
  }
  return { received, firstEventMs }
}

// Events are counted by the empty lines that end them. The stream ends with its last event: some servers frame its end by
// chunks, some by length, and some leave the connection open although they were asked to close it.
function readStream (socket: Socket, url: string): Promise<{ received: number, firstEventMs: number }> {
  return new Promise((resolve, reject) => {
    const requestedAt = performance.now()
    let firstEventMs = 0
    let blankLines = 0
    let last = 0
    let tail = ''
    socket.on('data', chunk => {
      for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, at + 1)) {
        if (at === 0 ? last === newline : chunk[at - 1] === newline) blankLines++
      }
      last = chunk[chunk.length - 1]!
      if (firstEventMs === 0 && chunk.includes('event: progress')) firstEventMs = performance.now() - requestedAt
      tail = (tail + chunk.subarray(-32).toString('latin1')).slice(-32)
      if (tail.includes('data: null\n\n')) resolve({ received: blankLines, firstEventMs })
    })
    socket.once('error', reject).once('close', () => reject(new Error('the connection was closed before the stream had ended')))
    socket.write(`GET ${url} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`)
  })
}
