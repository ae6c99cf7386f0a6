import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import Fastify from 'fastify'
import streamingMediator, { commandRoute } from '../../index.js'
import { answer } from '../answer.js'
import { Scan } from './contract.js'

const burstMs = 10

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL('page.js', import.meta.url))],
  bundle: true,
  minify: true,
  format: 'esm',
  define: { 'process.env.NODE_ENV': '"production"' },
  write: false
})
const script = outputFiles[0]!.text

const app = Fastify()
await app.register(streamingMediator)
app.mediator.addHandler(Scan, async function * ({ events, perSecond }) {
  const startedAt = performance.now()
  for (let n = 0; n < events;) {
    const due = perSecond === 0 ? events : Math.min(events, (performance.now() - startedAt) / 1_000 * perSecond)
    while (n < due) yield { n: ++n, path: `/photos/2026/${n}.jpg`, status: 'completed', sizeBytes: n * 17 }
    await sleep(burstMs)
  }
  return { events }
})
app.route(commandRoute(Scan, { url: '/scan' }))
app.get('/', (_request, reply) => reply.type('text/html')
  .send('<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Scan</title><div id="root"></div><script type="module" src="/page.js"></script>'))
app.get('/page.js', (_request, reply) => reply.type('text/javascript').send(script))
await app.listen({ port: 0, host: '127.0.0.1' })

answer(() => (app.server.address() as AddressInfo).port)
