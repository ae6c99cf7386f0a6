import { once } from 'node:events'
import { createRequire } from 'node:module'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { FastifySSEPlugin } from 'fastify-sse-v2'
import { frames } from '../index.js'
import type { MediatorStream, StreamEnd } from '../index.js'
import { Count, createApp, deferred, listen } from './support/app.js'
import type { LogLine } from './support/app.js'
import { RawClient } from './support/raw-client.js'

// Both plugins declare `reply.sse`, and only one declaration can win in one project.
const sse = createRequire(import.meta.url)('@fastify/sse') as FastifyPluginAsync

type Answer = (request: FastifyRequest, reply: FastifyReply) => MediatorStream<typeof Count>

/** How each plugin is given the frames of a stream. */
const plugins: Record<string, (app: FastifyInstance, answer: Answer) => Promise<void>> = {
  '@fastify/sse': async (app, answer) => {
    await app.register(sse)
    app.get('/count/:to', { sse: 'only' } as object, async (request, reply) => {
      await (reply as unknown as { sse: { send (source: unknown): Promise<void> } }).sse.send(frames(answer(request, reply)))
    })
  },
  'fastify-sse-v2': async (app, answer) => {
    await app.register(FastifySSEPlugin)
    app.get('/count/:to', (request, reply) => { reply.sse(frames(answer(request, reply), { data: 'text' })) })
  }
}

for (const [name, addRoute] of Object.entries(plugins)) {
  const createServer = async (t: Test, { endsWithClient = true } = {}) => {
    const { app, logs } = await createApp(t)
    const ends: StreamEnd[] = []
    app.mediator.onStreamEnd(end => ends.push(end))
    const gate = deferred()
    app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
      if (to === 404) throw Object.assign(new Error('No such file'), { statusCode: 404 })
      const aborted = once(signal, 'abort')
      yield { n: 1, text: 'a\nä\u2028' }
      if (to === 500) throw new Error('secret')
      if (to === Infinity) for (;;) yield { n: 2, text: 'x'.repeat(50_000) }
      await Promise.race([gate.promise, aborted])
      yield { n: 2 }
      return { total: 2 }
    })
    app.addHook('preHandler', async (_request, reply) => { reply.header('set-cookie', 'a=1') })
    app.addHook('onSend', async (_request, reply) => { reply.header('x-late', 'yes') })
    await addRoute(app, (request, reply) => {
      const stream = app.mediator.stream(Count, { to: Number((request.params as { to: string }).to), label: '' })
      if (endsWithClient) reply.raw.once('close', () => stream.abort())
      return stream
    })
    return { app, logs, ends, gate, port: await listen(app) }
  }
  const failures = (logs: LogLine[]): LogLine[] => logs.filter(({ level }) => level >= 50)

  t.test(`${name} writes the frames of a stream`, async t => {
    const { port, gate, ends, logs } = await createServer(t)
    const client = new RawClient(port)
    client.request('GET', '/count/1')
    await client.until('"n":1')
    t.notMatch(client.text, '"n":2', 'each as it comes')
    gate.resolve()
    await client.until('.end')
    await client.until('"total":2')
    client.socket.destroy()
    t.match(client.text, 'set-cookie: a=1')
    t.notMatch(client.text, 'x-late', 'no onSend hook runs')
    const text = await (await fetch(`http://127.0.0.1:${port}/count/1`)).text()
    const events = text.replace(/^retry: \d+\n\n/, '').split('\n\n').filter(event => event !== '')
    const read = events.map(event => Object.fromEntries(event.split('\n').map(line => line.split(/: (.*)/s) as [string, string])))
    t.strictSame(read.map(({ event }) => event), ['start', 'progress', 'progress', 'complete'])
    t.strictSame(JSON.parse(read[1]!['data']!), { n: 1, text: 'a\nä\u2028' })
    t.match(read[3]!['id'], /^[\w-]{22}\.4\.end$/)
    while (ends.length < 2) await turn()
    t.strictSame(ends.map(({ reason }) => reason), ['completed', 'completed'])
    t.strictSame(failures(logs), [])
  })

  t.test(`${name} answers a failure with status 200 and its frame, and the process goes on`, async t => {
    const { port, logs } = await createServer(t)
    for (const [to, problem] of [
      [404, { status: 404, detail: 'No such file' }],
      [500, { status: 500, code: 'INTERNAL_SERVER_ERROR', detail: undefined }]
    ] as const) {
      logs.length = 0
      const response = await fetch(`http://127.0.0.1:${port}/count/${to}`)
      t.equal(response.status, 200)
      const text = await response.text()
      t.notMatch(text, 'secret')
      const last = text.trimEnd().split('\n\n').at(-1)!
      t.match(last, 'event: failed')
      t.match(JSON.parse(last.slice(last.indexOf('data: ') + 6)), problem)
      t.equal(failures(logs).length, to === 500 ? 1 : 0)
    }
  })

  t.test(`${name} tells of the shutdown, and lets the app close`, async t => {
    const { app, port, ends } = await createServer(t)
    const client = new RawClient(port)
    client.request('GET', '/count/1', { headers: { connection: 'close' } })
    await client.until('"n":1')
    await app.close()
    await client.closed()
    t.match(client.text, /event: failed\ndata: .*MEDIATOR_ERR_SHUTTING_DOWN/)
    t.strictSame(ends.map(({ reason }) => reason), ['shutdown'])
  })

  for (const [what, to] of [['whose handler waits', '1'], ['that nobody reads', 'Infinity']] as const) {
    t.test(`${name} ends a stream ${what} when its client leaves only where the route says so`, async t => {
      for (const endsWithClient of [true, false]) {
        const { app, port, ends } = await createServer(t, { endsWithClient })
        const closed = deferred()
        app.server.once('connection', socket => socket.once('close', () => setImmediate(closed.resolve)))
        const client = new RawClient(port)
        client.request('GET', `/count/${to}`)
        await client.until('"n":1')
        client.socket.pause()
        client.socket.destroy()
        await closed.promise
        for (let turns = 0; turns < 50; turns++) await turn()
        t.strictSame(ends.map(({ reason }) => reason), endsWithClient ? ['cancelled'] : [])
        t.equal(app.mediator.stats().streams, endsWithClient ? 0 : 1)
      }
    })
  }
}
