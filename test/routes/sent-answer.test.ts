import { once } from 'node:events'
import { connect } from 'node:http2'
import { Type } from '@sinclair/typebox'
import type { FastifyServerOptions } from 'fastify'
import t from 'tap'
import { commandRoute, defineCommand } from '../../index.js'
import { createApp, listen } from '../support/app.js'

const Text = defineCommand({ name: 'text', input: Type.Object({ length: Type.Integer() }), result: Type.String() })

t.test('a stream of HTTP/2 whose client does not read its JSON is cut, and the connection stays', async t => {
  const { app, logs } = await createApp(t, { stallTimeoutMs: 200 }, { http2: true } as FastifyServerOptions)
  app.mediator.addHandler(Text, async ({ length }) => 'x'.repeat(length))
  app.route(commandRoute(Text, { url: '/text' }))
  const left = new Promise(resolve => app.addHook('onRequest', async (_request, reply) => { reply.raw.once('close', resolve) }))
  const session = connect(`http://127.0.0.1:${await listen(app)}`)
  t.teardown(() => session.destroy())
  const send = (length: number) => session.request({ ':method': 'POST', ':path': '/text', 'content-type': 'application/json' })
    .end(JSON.stringify({ length }))

  const unread = send(2_000_000)
  const [headers] = await once(unread, 'response')
  t.equal(headers[':status'], 200)
  await left
  t.match(logs.filter(({ msg }) => msg === 'client was cut before it had read its answer'), [{ reason: 'stalled' }])

  const read = send(3)
  t.strictSame(await read.setEncoding('utf8').toArray(), ['"xxx"'])
  t.equal(read.rstCode, 0)
})
