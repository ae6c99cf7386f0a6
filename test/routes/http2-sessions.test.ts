import { EventEmitter, once } from 'node:events'
import { connect as connectSession } from 'node:http2'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import { trackHttp2Sessions } from '../../routes/http2-sessions.js'
import { listen } from '../support/app.js'

const patrolMs = 50

async function start (t: Test): Promise<{ port: number, connected: Promise<Socket>, replies: EventEmitter }> {
  const app = Fastify({ http2: true, forceCloseConnections: true }) as unknown as FastifyInstance
  const close = trackHttp2Sessions(app, patrolMs)
  app.addHook('preClose', async () => close(0))
  t.teardown(async () => await app.close())
  const replies = new EventEmitter()
  app.get('/stream', async (_request, reply) => {
    reply.hijack()
    reply.raw.write('so far')
    replies.emit('reply', reply)
  })
  const port = await listen(app)
  return { port, connected: once(app.server, 'connection').then(([socket]) => socket), replies }
}

t.test('closes the connection of a client that has ended its session, and does not hang up', async t => {
  const { port, connected } = await start(t)
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  client.on('error', () => {}).resume()
  t.teardown(() => client.destroy())
  // The preface, empty settings, and a GOAWAY without an error.
  client.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  client.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))
  client.write(Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
  await once(await connected, 'close')
})

t.test('leaves the connection to a client that has ended its session while it reads a stream', async t => {
  const { port, replies } = await start(t)
  const session = connectSession(`http://127.0.0.1:${port}`)
  t.teardown(() => session.destroy())
  const replying = once(replies, 'reply')
  const request = session.request({ ':path': '/stream' }).setEncoding('utf8')
  const [reply] = await replying
  t.strictSame(await once(request, 'data'), ['so far'])
  session.close()
  // The server has looked at its sessions twice.
  await sleep(3 * patrolMs)
  reply.raw.end('and on')
  t.strictSame(await request.toArray(), ['and on'])
})
