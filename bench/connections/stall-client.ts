import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { answer } from '../answer.js'

/** What the bench asks of clients that do not read, and of those beside them that do. */
export type StallClientQuestion =
  | { readonly ask: 'stall', readonly port: number, readonly count: number }
  | { readonly ask: 'read', readonly port: number, readonly connections: number, readonly ms: number }

answer(async ({ port, ...question }: StallClientQuestion) => {
  if (question.ask === 'stall') {
    await Promise.all(Array.from({ length: question.count }, async () => {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.on('error', () => {}).pause()
      await once(socket, 'connect')
      socket.write(requestFor('/flood'))
    }))
    return question.count
  }
  const until = performance.now() + question.ms
  const latencies = (await Promise.all(Array.from({ length: question.connections }, async () => await readStreams(port, until)))).flat()
  return latencies.sort((a, b) => a - b)[Math.floor(latencies.length * 0.99)]
})

function requestFor (url: string): string {
  return `GET ${url} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`
}

/** Reads one stream after the other on one connection. Returns how long each took, in milliseconds. */
async function readStreams (port: number, until: number): Promise<number[]> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  const latencies: number[] = []
  while (performance.now() < until) {
    const startedAt = performance.now()
    await readStream(socket)
    latencies.push(performance.now() - startedAt)
  }
  socket.destroy()
  return latencies
}

async function readStream (socket: Socket): Promise<void> {
  socket.write(requestFor('/short'))
  let received = ''
  while (!received.endsWith('0\r\n\r\n')) {
    const [chunk] = await once(socket, 'data') as [Buffer]
    received += chunk.toString('latin1')
  }
}
