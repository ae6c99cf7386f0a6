import type { AddressInfo } from 'node:net'
import fastify from 'fastify'
import t from 'tap'
import { streamingMediator } from '../../index.js'
import { tasks } from '../../example-app/tasks/plugin.js'
import { certificate } from '../support/certificate.js'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { RunningApp } from './running-app.js'

// Opens so many streams in the page. Each is in `opened` when its first frame has come.
const openStreams = (count: number): string => `
  globalThis.opened = 0
  globalThis.sources = Array.from({ length: ${count} }, () => {
    const source = new EventSource('/stream/countdown/60')
    source.addEventListener('start', () => { opened++; document.body.dataset.opened = opened })
    return source
  })
  void 0`

t.test('connections of Chromium to one host', { skip: chromiumMissing }, async t => {
  t.test('six streams over HTTP/1.1 keep all other requests waiting, until one of them is closed', async t => {
    const app = await new RunningApp().start(t)
    const tab = await Tab.open(t, `${app.url}/tasks`)
    await tab.page.waitForLoadState('networkidle')
    await tab.evaluate(openStreams(6))
    await tab.until('opened === 6')
    await tab.evaluate("fetch('/files').then(({ status }) => { document.body.dataset.seventh = status }); void 0")
    // The server is asked by somebody else in the meantime, and answers at once; the page's request has not left the browser.
    for (let asked = 0; asked < 20; asked++) t.equal((await fetch(`${app.url}/tasks`, { headers: { accept: 'application/json' } })).status, 200)
    t.equal(await tab.evaluate("'seventh' in document.body.dataset"), false)
    t.notOk(app.logs.some(({ req }) => req?.url === '/files'))
    await tab.evaluate('sources[0].close()')
    await tab.until("document.body.dataset.seventh === '200'")
  })

  t.test('twenty streams over HTTP/2 are open at once, on one connection, and other requests go on', async t => {
    const app = fastify({ http2: true, https: { ...certificate, allowHTTP1: true } })
    t.teardown(() => app.close())
    await app.register(streamingMediator)
    await app.register(tasks)
    app.get('/', async (_request, reply) => reply.type('text/html').send('<!doctype html><link rel="icon" href="data:,"><body>'))
    let connections = 0
    app.server.on('session', () => connections++)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const tab = await Tab.open(t, `https://127.0.0.1:${(app.server.address() as AddressInfo).port}/`, { ignoreHTTPSErrors: true })
    await tab.evaluate(openStreams(20))
    await tab.until('opened === 20')
    t.equal(app.mediator.stats().streams, 20)
    t.equal(await tab.evaluate("fetch('/tasks').then(({ status }) => status)"), 200)
    t.equal(connections, 1)
    await tab.evaluate('for (const source of sources) source.close()')
    t.strictSame(tab.complaints, [])
  })
})
