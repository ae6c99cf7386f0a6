import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import fastify from 'fastify'
import t from 'tap'
import { bodyOf, requestBodies } from '../../example-app/request-bodies.js'
import { RawClient } from '../support/raw-client.js'
import { RunningApp } from './running-app.js'

t.test('requests that follow each other on one connection leave nothing on it', async t => {
  const app = await new RunningApp().start(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const connected = once(app.instance.server, 'connection') as Promise<[Socket]>
  const post = async (): Promise<void> => {
    const asking = request(`${app.url}/commands/process-orders`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } })
    asking.end('{}')
    const [response] = await once(asking, 'response')
    response.resume()
    await once(response, 'end')
  }
  await post()
  const [socket] = await connected
  const listeners = (): number => socket.eventNames().reduce((sum, name) => sum + socket.listenerCount(name), 0)
  const before = listeners()
  for (let posts = 0; posts < 20; posts++) await post()
  t.equal(listeners(), before)
  t.equal(app.logs.filter(({ msg }) => msg === 'incoming request').length, 21)
})

t.test('answers and cuts a client that goes on to send when its body was left in the middle, also where that has destroyed the request', async t => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(requestBodies, { lingerMs: 20 })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  for (const [path, bodyIn] of [['/raw', (raw: IncomingMessage) => raw], ['/own', bodyOf]] as const) {
    app.post(path, async ({ raw }) => {
      let bytes = 0
      for await (const chunk of bodyIn(raw)) {
        bytes += chunk.length
        if (bytes > 4) throw Object.assign(new Error(`left after ${bytes} bytes`), { statusCode: 413 })
      }
    })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  for (const path of ['/raw', '/own']) {
    const client = new RawClient((app.server.address() as AddressInfo).port)
    t.teardown(() => client.socket.destroy())
    client.request('POST', path, { headers: { 'transfer-encoding': 'chunked' } })
    client.socket.write('5\r\n12345\r\n')
    // Where nothing cuts it, Node does after 72 s.
    await once(client.socket, 'close', { signal: AbortSignal.timeout(20_000) })
    t.match(client.text, /^HTTP\/1\.1 413 [^]*left after 5 bytes/, path)
  }
})
