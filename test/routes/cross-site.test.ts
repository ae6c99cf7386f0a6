import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import t from 'tap'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import streamingMediator, { commandRoute } from '../../index.js'
import type { StreamingMediatorOptions } from '../../index.js'
import { Count, Watch, createApp, listen } from '../support/app.js'
import { childEnvironment } from '../support/child-environment.js'

type Headers = Record<string, string | string[]>

const own = 'shop.example'

/** Headers of a request to `shop.example`, and whether it is refused where a browser asks nobody first. */
const table: Array<[what: string, headers: Headers, isRefused: boolean]> = [
  ['a program that is no browser', {}, false],
  ['Sec-Fetch-Site: same-origin', { 'sec-fetch-site': 'same-origin' }, false],
  ['Sec-Fetch-Site: none, which is the address bar', { 'sec-fetch-site': 'none' }, false],
  ['Sec-Fetch-Site: same-site', { 'sec-fetch-site': 'same-site' }, true],
  ['Sec-Fetch-Site: cross-site', { 'sec-fetch-site': 'cross-site' }, true],
  ['Sec-Fetch-Site of no known value', { 'sec-fetch-site': 'garbage' }, true],
  ['Sec-Fetch-Site in capitals, which no browser sends', { 'sec-fetch-site': 'Same-Origin' }, true],
  ['an empty Sec-Fetch-Site', { 'sec-fetch-site': '' }, true],
  ['Sec-Fetch-Site twice', { 'sec-fetch-site': ['same-origin', 'cross-site'] }, true],
  ['Sec-Fetch-Site twice, the other way', { 'sec-fetch-site': ['cross-site', 'same-origin'] }, true],
  ['Sec-Fetch-Site: same-origin with its own Origin', { 'sec-fetch-site': 'same-origin', origin: `http://${own}` }, false],
  ['Sec-Fetch-Site: cross-site with the Origin of the host', { 'sec-fetch-site': 'cross-site', origin: `http://${own}` }, true],
  ['Sec-Purpose: prefetch', { 'sec-purpose': 'prefetch' }, true],
  ['Sec-Purpose: prefetch from the page itself', { 'sec-purpose': 'prefetch', 'sec-fetch-site': 'same-origin' }, true],
  ['Sec-Purpose: prefetch;prerender', { 'sec-purpose': 'prefetch;prerender', 'sec-fetch-site': 'none' }, true],
  ['Sec-Purpose: prefetch;anonymous-client-ip', { 'sec-purpose': 'prefetch;anonymous-client-ip' }, true],
  ['Sec-Purpose in capitals', { 'sec-purpose': 'Prefetch' }, true],
  ['Sec-Purpose twice', { 'sec-purpose': ['x', 'prefetch'] }, true],
  ['another Sec-Purpose', { 'sec-purpose': 'partitioned', 'sec-fetch-site': 'same-origin' }, false],
  ['Purpose: prefetch', { purpose: 'prefetch' }, true],
  ['X-Purpose: preview', { 'x-purpose': 'preview' }, true],
  ['X-Moz: prefetch', { 'x-moz': 'prefetch' }, true],
  ['an Origin of its own', { origin: `http://${own}` }, false],
  ['an Origin of its own behind TLS', { origin: `https://${own}` }, false],
  ['an Origin in capitals', { origin: 'HTTP://SHOP.EXAMPLE' }, false],
  ['another Origin', { origin: 'http://evil.example' }, true],
  ['an Origin that begins like it', { origin: `http://${own}.evil.example` }, true],
  ['an Origin that ends like it', { origin: `http://evil${own}` }, true],
  ['an Origin with it as user', { origin: `http://${own}@evil.example` }, true],
  ['an Origin below it', { origin: `http://a.${own}` }, true],
  ['an Origin of another port', { origin: `http://${own}:8080` }, true],
  ['Origin: null', { origin: 'null' }, true],
  ['an Origin that is none', { origin: 'garbage' }, true],
  ['an empty Origin', { origin: '' }, true],
  ['an Origin without a host', { origin: 'file://' }, true],
  ['two Origins', { origin: [`http://${own}`, 'http://evil.example'] }, true],
  ['an Origin with a default port, which no browser sends', { origin: `http://${own}:80` }, false],
  ['a Host with the default port of its Origin', { host: `${own}:80`, origin: `http://${own}` }, false],
  ['a Host with the default port of its Origin behind TLS', { host: `${own}:443`, origin: `https://${own}` }, false],
  ['a Host with the default port of another scheme', { host: `${own}:443`, origin: `http://${own}` }, true],
  ['a Host in capitals', { host: 'SHOP.example:8080', origin: `http://${own}:8080` }, false],
  ['a Host of another port', { host: `${own}:8080`, origin: `http://${own}` }, true],
  ['an address of IPv6', { host: '[::1]:3000', origin: 'http://[::1]:3000' }, false],
  ['an address of IPv6 written in another way', { host: '[0:0:0:0:0:0:0:1]:3000', origin: 'http://[::1]:3000' }, false],
  ['another address of IPv6', { host: '[::1]:3000', origin: 'http://[::2]:3000' }, true],
  ['a name beyond ASCII', { host: 'xn--mnchen-3ya.example', origin: 'http://xn--mnchen-3ya.example' }, false],
  ['an X-Forwarded-Host that no proxy is trusted for', { 'x-forwarded-host': 'evil.example', origin: 'http://evil.example' }, true]
]

async function createShop (t: Parameters<typeof createApp>[0], options: StreamingMediatorOptions = {}, server: object = {}) {
  const { app } = await createApp(t, options, server)
  const started: unknown[] = []
  addCommands(app, started)
  return { app, started }
}

function addCommands (app: FastifyInstance, started: unknown[]): void {
  app.mediator.addHandler(Count, async function * (input) {
    started.push(input)
    yield { n: 1 }
    return { total: 1 }
  })
  app.mediator.addHandler(Watch, async function * (input) { started.push(input) })
  const map = () => ({ to: 1, label: 'mapped' })
  app.route(commandRoute(Count, { url: '/get', method: 'GET' }))
  app.route(commandRoute(Count, { url: '/mapped', map }))
  app.route(commandRoute(Count, { url: '/mapped-get', method: 'GET', map }))
  app.route(commandRoute(Count, { url: '/allowed', method: 'GET', crossSite: true }))
  app.route(commandRoute(Count, { url: '/mapped-allowed', map, crossSite: true }))
  app.route(commandRoute(Count, { url: '/body' }))
  app.route(commandRoute(Count, { url: '/mapped-body', schema: { body: Type.Object({}) }, map }))
  app.route(commandRoute(Watch, { url: '/query', method: 'GET' }))
}

t.test('refuses what a browser sends for others and takes the rest, where it asks nobody first', async t => {
  let owners = 0
  const { app, started } = await createShop(t, { owner: () => String(owners++) })
  for (const [what, headers, isRefused] of table) {
    await t.test(`${isRefused ? 'refuses' : 'takes'} ${what}`, async t => {
      owners = 0
      started.length = 0
      const send = async (method: 'GET' | 'HEAD' | 'POST', url: string, payload?: object) =>
        await app.inject({ method, url, headers: { host: own, ...headers }, ...(payload !== undefined && { payload }) })
      const status = isRefused ? 403 : 200
      for (const [method, url] of [['GET', '/get?to=1'], ['GET', '/mapped-get'], ['POST', '/mapped']] as const) {
        const response = await send(method, url)
        t.equal(response.statusCode, status, url)
        if (isRefused) t.match(response.json(), { code: 'MEDIATOR_ERR_CROSS_SITE', retryable: false })
      }
      t.equal((await send('HEAD', '/get?to=1')).statusCode, status)
      t.equal(started.length, isRefused ? 0 : 3)
      t.equal(owners, isRefused ? 0 : 3, 'nobody is counted for what is refused')
      t.equal(app.mediator.stats().streams, 0)
      // A browser asks first before it sends JSON to another site, a query has no effects, and a route may say that it does not mind.
      for (const [method, url, payload] of [
        ['POST', '/body', { to: 1 }], ['POST', '/mapped-body', {}], ['GET', '/query?to=1'], ['GET', '/allowed?to=1'], ['POST', '/mapped-allowed']
      ] as const) t.equal((await send(method, url, payload)).statusCode, 200, url)
    })
  }
})

t.test('takes no body that a page sends to another site without asking first', async t => {
  const { app, started } = await createShop(t)
  const mapped = ['/body', '/mapped-body']
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain; x=application/json', '']) {
    for (const url of mapped) {
      const response = await app.inject({ method: 'POST', url, payload: '{"to":1}', headers: { 'content-type': type, host: own } })
      t.equal(response.statusCode, 415, `${url} ${type}`)
    }
  }
  t.strictSame(started, [])
})

t.test('knows its host by X-Forwarded-Host where the proxy is trusted', async t => {
  const { app } = await createShop(t, {}, { trustProxy: true })
  const send = async (headers: Headers) => (await app.inject({ url: '/get?to=1', headers: { host: 'backend:3000', ...headers } })).statusCode
  t.equal(await send({ 'x-forwarded-host': own, origin: `https://${own}` }), 200)
  t.equal(await send({ 'x-forwarded-host': `${own}:443`, origin: `https://${own}` }), 200)
  t.equal(await send({ 'x-forwarded-host': own, origin: 'https://evil.example' }), 403)
  t.equal(await send({ 'x-forwarded-host': own, origin: 'http://backend:3000' }), 403)
  t.equal(await send({ origin: 'http://backend:3000' }), 200)
  // What the client sent comes first; the proxy's own is the last.
  t.equal(await send({ 'x-forwarded-host': `evil.example, ${own}`, origin: 'https://evil.example' }), 403)
})

t.test('refuses the page of another origin over HTTP/2, where the host is in :authority', async t => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(streamingMediator, { closeGraceMs: 0 })
  const started: unknown[] = []
  addCommands(app as unknown as FastifyInstance, started)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => session.destroy())
  for (const [headers, status] of [
    [{ origin: `https://${own}` }, 200],
    [{ origin: 'https://evil.example' }, 403],
    [{ 'sec-fetch-site': 'cross-site' }, 403],
    [{ 'sec-fetch-site': 'same-origin' }, 200],
    [{ 'sec-purpose': 'prefetch' }, 403]
  ] as const) {
    const stream = session.request({ ':path': '/get?to=1', ':authority': own, ...headers })
    const [answer] = await once(stream, 'response') as [{ ':status': number }]
    t.equal(answer[':status'], status, JSON.stringify(headers))
    await text(stream)
  }
  t.equal(started.length, 2)
})

t.test('refuses an Origin where the request names no host', async t => {
  const { app, started } = await createShop(t)
  const port = await listen(app)
  for (const [origin, status] of [['file://', 403], ['http://evil.example', 403], [undefined, 200]] as const) {
    const socket = connect(port, '127.0.0.1')
    socket.end(`GET /get?to=1 HTTP/1.0\r\n${origin === undefined ? '' : `origin: ${origin}\r\n`}\r\n`)
    t.match(await text(socket), new RegExp(`^HTTP/1\\.1 ${status} `))
  }
  t.equal(started.length, 1)
})

const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(path => spawnSync(path, ['--version']).status === 0)
const chromiumMissing = chromium === undefined && process.env['CI'] === undefined && 'Chromium is not installed'

t.test('a page of another origin in Chromium cannot start a GET command, and one of its own can', { skip: chromiumMissing, timeout: 90_000 }, async t => {
  const { app, started } = await createShop(t)
  const asked: string[] = []
  app.addHook('onResponse', async ({ url, headers, host }, { statusCode }) => {
    if (url.startsWith('/get')) asked.push(`${host.split(':')[0]} ${headers['sec-fetch-site']} ${url} ${statusCode}`)
  })
  // The ways in which a page makes its reader's browser send a GET request elsewhere.
  const page = (target: string): string => `<!doctype html><title>page</title><link rel=prefetch href="${target}/get?to=1&label=prefetch"><script>
    const target = ${JSON.stringify(target)}
    const tries = [
      fetch(target + '/get?to=1&label=fetch', { mode: 'no-cors', credentials: 'include' }),
      new Promise(resolve => { const image = new Image(); image.onload = image.onerror = resolve; image.src = target + '/get?to=1&label=image' }),
      new Promise(resolve => { const frame = document.createElement('iframe'); frame.onload = resolve; frame.src = target + '/get?to=1&label=frame'; document.documentElement.append(frame) }),
      new Promise(resolve => { const source = new EventSource(target + '/get?to=1&label=source'); source.onerror = () => { source.close(); resolve() } })
    ]
    Promise.allSettled(tries).then(() => fetch('/done', { method: 'POST' }))
  </script>`
  const pages = createServer((request, response) => {
    if (request.url === '/done') {
      response.end()
      pages.emit('done')
      return
    }
    response.setHeader('content-type', 'text/html')
    response.end(page(`http://localhost:${port}`))
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    pages.closeAllConnections()
    pages.close()
  })
  app.get('/page', async (_request, reply) => await reply.type('text/html').send(page('')))
  app.post('/done', async () => {
    pages.emit('done')
    return {}
  })
  const port = await listen(app)
  const visit = async (url: string): Promise<void> => {
    const done = once(pages, 'done')
    const browser = promisify(execFile)(chromium!, [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--user-data-dir=${t.testdir()}`, '--virtual-time-budget=20000', '--dump-dom', url
    ], { env: childEnvironment, timeout: 60_000 })
    await Promise.all([done, browser])
  }
  await visit(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/`)
  t.ok(asked.length >= 4, asked.join('; '))
  t.ok(asked.every(line => line.endsWith(' 403')), asked.join('; '))
  t.strictSame(started, [])
  asked.length = 0
  await visit(`http://localhost:${port}/page`)
  const labels = started.map(input => (input as { label: string }).label).sort()
  t.ok(['fetch', 'frame', 'image', 'source'].every(label => labels.includes(label)), asked.join('; '))
  t.notOk(labels.includes('prefetch'))
})

t.test('refuses a crossSite that only looks like false', async t => {
  t.throws(() => commandRoute(Count, { url: '/', crossSite: 'false' as never }), { code: 'MEDIATOR_ERR_INVALID_ROUTE', message: /crossSite that is no boolean/ })
})
