import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { answer } from '../answer.js'

/** What the bench asks of a client that holds streams open. */
export type IdleClientQuestion =
  | { readonly ask: 'connect', readonly port: number, readonly count: number }
  | { readonly ask: 'heartbeats' }
  | { readonly ask: 'ends' }

// More at once would only fill the server's queue of connections.
const connectingAtOnce = 100

let heartbeats = 0
let failed = 0
let sockets: Socket[] = []

answer(async (question: IdleClientQuestion) => {
  if (question.ask === 'heartbeats') return heartbeats
  if (question.ask === 'ends') {
    await Promise.all(sockets.map(async socket => { if (!socket.closed) await once(socket, 'close') }))
    const told = failed
    sockets = []
    heartbeats = failed = 0
    return told
  }
  let missing = question.count
  await Promise.all(Array.from({ length: connectingAtOnce }, async () => {
    while (missing-- > 0) sockets.push(await openStream(question.port))
  }))
  return sockets.length
})

/** Resolves when the first progress has arrived; then reads on. */
async function openStream (port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n')
  await new Promise<void>((resolve, reject) => {
    let text = ''
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (!text.includes('event: progress')) return
      socket.off('data', onData).off('error', reject).off('close', onClose)
      resolve()
    }
    const onClose = (): void => reject(new Error('the connection was closed before the stream began'))
    socket.on('data', onData).once('error', reject).once('close', onClose)
  })
  socket.on('error', () => {})
  socket.on('data', chunk => {
    if (chunk.includes('\n:\n')) heartbeats++
    if (chunk.includes('event: failed')) failed++
  })
  return socket
}
