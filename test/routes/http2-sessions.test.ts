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

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const goaway = frame(7, 0, 0, Buffer.alloc(8))
const types = { headers: 1, reset: 3, settings: 4 }

/** A frame of HTTP/2 (RFC 9113, section 4.1). */
function frame (type: number, flags: number, streamId: number, payload = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, payload])
}

function connectRaw (t: Test, port: number): Socket {
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => client.destroy())
  return client.on('error', () => {})
}

t.test('closes the connection of a client that has ended its session, and does not hang up', async t => {
  const { port, connected } = await start(t)
  const client = connectRaw(t, port).resume()
  client.write(Buffer.concat([preface, frame(types.settings, 0, 0), goaway]))
  await once(await connected, 'close')
})

for (const [title, last] of [['stays', Buffer.alloc(0)], ['ends its session', goaway]] as const) {
  t.test(`forgets a stream that its client has not read and has reset without an error: the client ${title}`, async t => {
    const { port, connected, replies } = await start(t)
    const client = connectRaw(t, port)
    const replying = once(replies, 'reply')
    const noWindow = Buffer.from([0, 4, 0, 0, 0, 0])
    // GET http://x/stream, in literals of HPACK (RFC 7541).
    const fields = Buffer.concat([Buffer.from([0x82, 0x86, 0x41, 1]), Buffer.from('x'), Buffer.from([0x04, 7]), Buffer.from('/stream')])
    client.write(Buffer.concat([preface, frame(types.settings, 0, 0, noWindow), frame(types.headers, 5, 1, fields)]))
    const [{ raw }] = await replying
    raw.end()
    // The head of the answer is here, and its body waits for a window.
    let received = Buffer.alloc(0)
    while (!received.includes(frame(types.headers, 4, 1).subarray(3))) received = Buffer.concat([received, (await once(client, 'data'))[0]])
    client.write(Buffer.concat([frame(types.reset, 0, 1, Buffer.alloc(4)), last]))
    await once(raw, 'close')
    const socket = await connected
    if (last === goaway) await once(socket, 'close')
    else t.notOk(socket.destroyed)
  })
}

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
