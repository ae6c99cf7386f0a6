import t from 'tap'
import { Type } from '@sinclair/typebox'
import { commandRoute, defineCommand } from '../../index.js'
import type { StreamEnd } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { createApp, deferred, listen } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'
import { exchange } from './http-client.js'

const Hold = defineCommand({ name: 'hold', input: Type.Object({ size: Type.Integer({ default: 0 }) }), progress: Type.String() })

async function createHolder (t: Parameters<typeof createApp>[0], options: Parameters<typeof createApp>[1]) {
  const { app } = await createApp(t, options)
  const ended = deferred<StreamEnd>()
  app.mediator.onStreamEnd(ended.resolve)
  app.mediator.addHandler(Hold, async function * ({ size }, { signal }) {
    yield 'x'.repeat(size)
    const more = size > 1_000_000 ? 1_000 : 0
    for (let n = 0; n < more; n++) yield 'x'.repeat(size)
    await new Promise(resolve => signal.addEventListener('abort', resolve))
  })
  app.route(commandRoute(Hold, { url: '/hold' }))
  return { app, port: await listen(app), ended: ended.promise }
}

for (const [name, options, status, code] of [
  ['streams in all', { maxStreams: 2 }, 503, 'MEDIATOR_ERR_TOO_MANY_STREAMS'],
  ['streams of one owner', { maxStreamsPerOwner: 2, owner: () => 'one' }, 429, 'MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER']
] as const) {
  t.test(`more ${name} than allowed are refused, and taken again when one has ended`, async t => {
    const { app, port, ended } = await createHolder(t, options)
    const clients = [new RawClient(port), new RawClient(port)]
    for (const client of clients) client.request('POST', '/hold', { body: {} })
    for (const client of clients) await client.until('event: progress')
    const refused = await exchange(port, { path: '/hold', body: '{}' })
    t.equal(refused.status, status)
    t.match(JSON.parse(refused.body.toString()), { code, retryable: true })
    t.match(Object.fromEntries(refused.headers), { 'retry-after': /^[1-5]$/ })
    t.match(app.mediator.stats(), { streams: 2 })
    clients[0]!.socket.destroy()
    t.match(await ended, { reason: 'client-closed' })
    const again = new RawClient(port)
    again.request('POST', '/hold', { body: {} })
    await again.until('event: progress')
  })
}

t.test('a stream that runs longer than it may is ended', async t => {
  const { port, ended } = await createHolder(t, { maxStreamMs: 100 })
  const { body } = await exchange(port, { path: '/hold', headers: [['accept', 'text/event-stream']], body: '{}' })
  t.match(readFrames(body.toString()).at(-1), { event: 'failed', data: { status: 504, code: 'MEDIATOR_ERR_DEADLINE' } })
  t.match(await ended, { reason: 'deadline' })
})

t.test('a value that makes a longer frame than allowed ends its stream', async t => {
  const { port, ended } = await createHolder(t, { maxFrameBytes: 1_024 })
  const { status, body } = await exchange(port, { path: '/hold', body: '{"size":1024}' })
  t.equal(status, 500)
  t.match(JSON.parse(body.toString()), { code: 'MEDIATOR_ERR_FRAME_TOO_LARGE' })
  t.match(await ended, { reason: 'failed' })
})

t.test('a client that reads nothing of 2 GB is cut', async t => {
  const { app, port, ended } = await createHolder(t, { stallTimeoutMs: 200, maxFrameBytes: 4_000_000 })
  const client = new RawClient(port)
  client.socket.pause()
  client.request('POST', '/hold', { body: { size: 2_000_000 } })
  t.match(await ended, { reason: 'stalled' })
  t.match(app.mediator.stats(), { streams: 0 })
})
