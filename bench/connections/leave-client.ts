import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer } from '../answer.js'
import { now } from './now.js'

/** What the bench asks of clients that leave. */
export type LeaveClientQuestion = { readonly ask: 'connect', readonly port: number, readonly count: number } | { readonly ask: 'leave' }

let sockets: Socket[] = []

answer(async (question: LeaveClientQuestion) => {
  if (question.ask === 'leave') return await leave()
  for (let stream = 0; stream < question.count; stream++) {
    const socket = connect({ port: question.port, host: '127.0.0.1' })
    socket.write(`GET /?stream=${stream} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`)
    await once(socket, 'data')
    sockets.push(socket.on('error', () => {}).resume())
  }
  return sockets.length
})

/** Returns when each has left. */
async function leave (): Promise<number[]> {
  const leftAt: number[] = []
  for (const socket of sockets) {
    leftAt.push(now())
    socket.destroy()
    // One at a time: the delay of one is not the work of those before it.
    await sleep(2)
  }
  sockets = []
  return leftAt
}
