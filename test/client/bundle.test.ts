import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t from 'tap'
import { MemoryStreamLog, commandRoutes, streamRoutes } from '../../index.js'
import { Count, createApp, listen } from '../support/app.js'
import { Tab, chromiumMissing } from '../support/chromium.js'

async function bundle (): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ['lib/client/index.ts'], bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022', write: false
  })
  return outputFiles[0]!.text
}

t.test('the client is 4 KB at most, with its parser, minified and compressed', async t => {
  const text = await bundle()
  const { length } = gzipSync(text, { level: 9 })
  t.ok(length <= 4_096, `${length} bytes`)
  t.ok(length > 3_000, 'it was bundled')
  t.notMatch(text, /\b(?:node:|require\()/, 'and needs nothing of Node')
})

t.test('the client in Chromium', { skip: chromiumMissing }, async t => {
  const { app } = await createApp(t, { owner: 'public', streamLog: new MemoryStreamLog(), onDisconnect: 'continue' })
  app.mediator.addHandler(Count, async function * ({ to }, { signal }) {
    for (let n = 1; n <= to; n++) yield { n }
    if (to === 9) await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    return { total: to }
  })
  await app.register(commandRoutes, { prefix: '/commands', commands: [Count] })
  await app.register(streamRoutes, { prefix: '/streams' })
  const text = await bundle()
  app.get('/client.js', (_request, reply) => reply.type('text/javascript').send(text))
  app.get('/', (_request, reply) => reply.type('text/html').send('<!doctype html><link rel="icon" href="data:,"><title>Client</title>'))
  app.post('/commands/moved', (_request, reply) => reply.redirect('/commands/count', 307))
  const tab = await Tab.open(t, `http://127.0.0.1:${await listen(app)}/`)

  const seen = await tab.evaluate(`(async () => {
    const { createClient } = await import('/client.js')
    const client = createClient({ baseUrl: '/commands' })
    const stream = client.stream('count', { to: 3 })
    const all = []
    for await (const progress of stream) all.push(progress)
    const again = client.attach(stream.url, { lastEventId: stream.lastEventId.replace(/[.].*/, '.3') })
    for await (const progress of again) all.push(progress)
    const endless = client.stream('count', { to: 9 })
    for await (const { n } of endless) if (n === 9) break
    const cancelled = client.attach(endless.url)
    cancelled.result.catch(() => {})
    await new Promise(resolve => { cancelled.onStateChange = state => { if (state === 'open') resolve() } })
    await cancelled.cancel()
    const { kind, code } = await cancelled.result.catch(error => error)
    const refused = await client.stream('count', { to: -1 }).result.catch(error => error)
    const moved = await client.stream('moved', {}).result.catch(error => error)
    return [all, await stream.result, await again.result, await client.send('count', { to: 1 }), kind, code, refused.kind, refused.problem.status, moved.code, moved.problem.status]
  })()`)
  t.strictSame(seen, [[{ n: 1 }, { n: 2 }, { n: 3 }, { n: 3 }], { total: 3 }, { total: 3 }, { total: 1 },
    'cancelled', 'MEDIATOR_ERR_CANCELLED', 'failed', 400, 'CLIENT_ERR_HTTP', 0])
})
