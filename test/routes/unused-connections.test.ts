import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { trackConnections } from '../../routes/unused-connections.js'

// The server of a closing app takes no more connections, but those that were on their way are told of all the same: here it goes on listening.
t.test('cuts connections that come while the app closes, when they have had their time', async t => {
  const server = createServer()
  t.teardown(() => server.close())
  // All that it takes of an app.
  const close = trackConnections({ server } as FastifyInstance)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  close(10)
  const sockets = [1, 2].map(() => connect(port, '127.0.0.1').resume())
  const ends = sockets.map(async socket => await once(socket, 'close'))
  for (const [hadError] of await Promise.all(ends)) t.notOk(hadError)
})
