import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { answer } from './answer.js'
import { StreamReader } from './stream-reader.js'
import type { Work } from './source.js'

/** What the bench asks its client process to do. */
export interface Task extends Work {
  readonly port: number
  readonly connections: number
  /** How many streams each connection reads, one after the other, on sockets of their own. @default 1 */
  readonly streams?: number
  /** How many connections read one and the same stream, by a key that they share. @default each its own, without a key */
  readonly readers?: number
  /** After how many milliseconds all clients leave, wherever their streams are. @default they read to the end */
  readonly leaveAfterMs?: number
}

/** What the client measured. */
export interface Measured {
  readonly wallMs: number
  /** Events, of all streams. */
  readonly received: number
  /** From the request to the first event, one a stream, in milliseconds. */
  readonly firstEventMs: readonly number[]
}

// More at once would only fill the server's queue of connections.
const connectingAtOnce = 100

answer(async ({ port, connections, streams = 1, readers, leaveAfterMs, ...work }: Task): Promise<Measured> => {
  // No key is used again by a later task.
  const run = randomUUID()
  const startedAt = performance.now()
  const sockets = await openSockets(port, connections)
  if (leaveAfterMs !== undefined) setTimeout(() => { for (const socket of sockets) socket.destroy() }, leaveAfterMs)
  const firstEventMs: number[] = []
  let received = 0
  await Promise.all(sockets.map(async (first, index) => {
    for (let stream = 0; stream < streams; stream++) {
      const socket = stream === 0 ? first : await openSocket(port)
      const key = readers === undefined ? {} : { idempotencyKey: `${run}-${stream}-${Math.floor(index / readers)}` }
      const query = Object.entries({ ...work, ...key }).map(([name, value]) => `${name}=${value}`)
      const read = await readStream(socket, `/?${query.join('&')}`)
      if (!read.ended && leaveAfterMs === undefined) throw new Error('the connection was closed before the stream had ended')
      received += read.events
      firstEventMs.push(read.firstEventMs)
      socket.destroy()
    }
  }))
  return { wallMs: performance.now() - startedAt, received, firstEventMs }
})

// Raw sockets: an HTTP client would take more of the machine than the servers that are measured.
async function openSocket (port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return socket
}

async function openSockets (port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  let missing = count
  await Promise.all(Array.from({ length: Math.min(count, connectingAtOnce) }, async () => {
    while (missing-- > 0) sockets.push(await openSocket(port))
  }))
  return sockets
}

function readStream (socket: Socket, url: string): Promise<{ events: number, firstEventMs: number, ended: boolean }> {
  return new Promise((resolve, reject) => {
    const requestedAt = performance.now()
    const reader = new StreamReader()
    let firstEventMs = 0
    const finish = (): void => resolve({ events: reader.events, firstEventMs, ended: reader.ended })
    socket.on('data', chunk => {
      reader.read(chunk)
      if (firstEventMs === 0 && reader.events > 0) firstEventMs = performance.now() - requestedAt
      if (reader.ended) finish()
    })
    socket.once('error', reject).once('close', finish)
    socket.write(`GET ${url} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`)
  })
}
