import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import compress from '@fastify/compress'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import Fastify from 'fastify'
import streamingMediator, { MemoryStreamLog, commandRoute, streamRoutes } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { Count, createApp, deferred, listen } from '../support/app.js'
import { createKeptApp, headerOwner } from '../support/kept-app.js'
import { RawClient } from '../support/raw-client.js'

const sse = 'text/event-stream'
const json = 'application/json'
const anna = { 'x-user': 'anna' }
const unknown = 'AAAAAAAAAAAAAAAAAAAAAA'

t.test('fails at boot on an instance without the plugin', async t => {
  await t.rejects(async () => await Fastify().register(streamRoutes, { prefix: '/streams' }), { code: 'MEDIATOR_ERR_PLUGIN_MISSING' })
})

for (const prefix of [undefined, '', '/', '/:tenant/streams', '/streams/*', '/streams/', '/a//b', '/streams?x=', '/streams#x']) {
  t.test(`fails at boot with the prefix ${String(prefix)}, which cannot stand in a url of a stream`, async t => {
    const { app } = await createApp(t, { owner: headerOwner })
    await t.rejects(async () => await app.register(streamRoutes, prefix === undefined ? {} : { prefix }), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /prefix must be a path without parameters/ })
  })
}

t.test('fails at boot below a prefix with a parameter', async t => {
  const { app } = await createApp(t, { owner: headerOwner })
  await t.rejects(async () => await app.register(async scope => await scope.register(streamRoutes, { prefix: '/streams' }), { prefix: '/:tenant' }),
    { code: 'MEDIATOR_ERR_INVALID_OPTIONS' })
})

for (const [what, owner] of [['none', undefined], ['no function', 'everybody'], ['null', null]] as const) {
  t.test(`fails at boot where nobody says whose streams are: ${what}`, async t => {
    const { app } = await createApp(t)
    await t.rejects(async () => await app.register(streamRoutes, { prefix: '/streams', ...(owner !== undefined && { owner: owner as 'public' }) }),
      { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /owner must be a function or 'public'/ })
  })
}

t.test('R55 tells the url of a stream where clients find it: below every prefix, and behind what a proxy takes off', async t => {
  const { app } = await createApp(t, { owner: 'public', onDisconnect: 'continue', publicPrefix: '/api/v%201' })
  app.mediator.addHandler(Count, async function * () { return { total: 0 } })
  app.route(commandRoute(Count, { url: '/count' }))
  await app.register(async outer => {
    await outer.register(async inner => {
      await inner.register(streamRoutes, { prefix: '/my streams' })
    }, { prefix: '/b' })
  }, { prefix: '/a' })
  const accepted = await app.inject({ method: 'POST', url: '/count', payload: { to: 0 }, headers: { prefer: 'respond-async' } })
  t.equal(accepted.statusCode, 202)
  const { streamId, url } = accepted.json()
  t.equal(url, `/api/v%201/a/b/my%20streams/${streamId}`)
  t.equal(accepted.headers.location, url)
  const [start] = readFrames(await app.inject(url.slice('/api/v%201'.length)))
  t.match(start!.data, { url, resumable: true })
})

t.test('R55 tells no url, and nobody to come back, where the routes are not registered', async t => {
  const { app } = await createApp(t, { owner: 'public', onDisconnect: 'continue' })
  app.mediator.addHandler(Count, async function * () { return { total: 0 } })
  app.route(commandRoute(Count, { url: '/count' }))
  const response = await app.inject({ method: 'POST', url: '/count', payload: { to: 0 }, headers: { prefer: 'respond-async' } })
  t.equal(response.statusCode, 200, 'a preference that cannot be met is no error')
  t.notOk(response.body.includes('retry:'))
  const [start] = readFrames(response)
  t.strictSame([start!.data.resumable, 'url' in start!.data], [false, false])
  t.equal((await app.inject(`/streams/${start!.data.streamId}`)).statusCode, 404)
})

t.test('tells the url below the prefix that was registered first', async t => {
  const { app, gate, ready, start } = await createKeptApp(t)
  await ready()
  gate.resolve()
  await app.register(streamRoutes, { prefix: '/other' })
  const streamId = await start(anna)
  for (const prefix of ['/streams', '/other']) {
    const [frame] = readFrames(await app.inject({ url: `${prefix}/${streamId}`, headers: anna }))
    t.equal(frame!.data.url, `/streams/${streamId}`)
  }
})

t.test('obeys the hooks of the instance that it is registered on, and of no other', async t => {
  const { app, gate, start, started } = await createKeptApp(t)
  gate.resolve()
  const seen: string[] = []
  app.route(commandRoute(Count, { url: '/count' }))
  await app.register(async scope => {
    scope.addHook('onRequest', async ({ method, headers }) => {
      seen.push(method)
      if (headers.authorization !== 'secret') throw Object.assign(new Error('Sign in'), { statusCode: 401, code: 'SIGN_IN' })
    })
    scope.addHook('onSend', async (_request, reply) => { reply.header('x-scope', 'streams') })
    await scope.register(streamRoutes, { prefix: '/streams' })
  })
  const streamId = await start(anna)
  for (const [method, url] of [['GET', `/streams/${streamId}`], ['DELETE', `/streams/${streamId}`], ['GET', '/streams'], ['HEAD', '/streams']] as const) {
    const refused = await app.inject({ method, url, headers: anna })
    t.strictSame([refused.statusCode, refused.headers['content-type'], refused.headers['x-scope']], [401, 'application/problem+json', 'streams'])
    if (method !== 'HEAD') t.match(refused.json(), { code: 'SIGN_IN', detail: 'Sign in' })
    const allowed = await app.inject({ method, url, headers: { ...anna, authorization: 'secret' } })
    t.strictSame([allowed.statusCode, allowed.headers['x-scope']], [200, 'streams'])
  }
  t.equal(seen.length, 8)
  const other = await app.inject({ method: 'POST', url: '/count', payload: { to: 0 }, headers: anna })
  t.strictSame([other.statusCode, other.headers['x-scope'], seen.length, started.length], [200, undefined, 8, 2])
})

t.test('reads the streams of the plugin of its own instance', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const ids: string[] = []
  for (const name of ['one', 'two']) {
    await app.register(async scope => {
      await scope.register(streamingMediator, { owner: 'public', onDisconnect: 'continue', publicPrefix: `/${name}` })
      scope.mediator.addHandler(Count, async function * () { return { total: 0 } })
      scope.route(commandRoute(Count, { url: '/count' }))
      await scope.register(streamRoutes, { prefix: '/streams' })
    }, { prefix: `/${name}` })
  }
  for (const name of ['one', 'two']) {
    const { url, streamId } = (await app.inject({ method: 'POST', url: `/${name}/count`, payload: { to: 0 }, headers: { prefer: 'respond-async' } })).json()
    t.equal(url, `/${name}/${name}/streams/${streamId}`)
    ids.push(streamId)
  }
  t.equal((await app.inject(`/one/streams/${ids[0]}`)).statusCode, 200)
  t.equal((await app.inject(`/one/streams/${ids[1]}`)).statusCode, 404)
  t.equal((await app.inject(`/two/streams/${ids[0]}`)).statusCode, 404)
})

t.test('answers its own errors as problems, whatever the app makes of others', async t => {
  const { app, ready, run, gate } = await createKeptApp(t)
  gate.resolve()
  app.setErrorHandler(async (_error, _request, reply) => await reply.code(500).send('mine'))
  app.setValidatorCompiler(() => () => true)
  await ready()
  await run(anna)
  for (const [url, status] of [[`/streams/${unknown}`, 404], ['/streams?limit=0', 400]] as const) {
    const response = await app.inject({ url, headers: anna })
    t.strictSame([response.statusCode, response.headers['content-type']], [status, 'application/problem+json'])
  }
})

t.test('has no HEAD routes where the app wants none', async t => {
  const { app, ready } = await createKeptApp(t, { server: { exposeHeadRoutes: false } })
  await ready()
  t.equal((await app.inject({ method: 'HEAD', url: '/streams', headers: anna })).statusCode, 404)
})

t.test('keeps headers and cookies of plugins, and lets the pages of allowed origins cancel', async t => {
  const { app, ready, run, gate } = await createKeptApp(t)
  gate.resolve()
  await app.register(cors, { origin: ['http://shop.example', 'http://other.example'], credentials: true, methods: ['GET', 'DELETE'] })
  await app.register(cookie)
  app.addHook('preHandler', async (_request, reply) => { reply.setCookie('session', 'a', { httpOnly: true }) })
  await ready()
  const streamId = await run(anna)
  const port = await listen(app)
  const url = `http://127.0.0.1:${port}/streams`
  const headers = { ...anna, origin: 'http://shop.example' }
  for (const [method, path, accept, status, vary] of [
    ['GET', `/${streamId}`, sse, 200, 'Origin, Accept'],
    ['GET', `/${streamId}`, json, 200, 'Origin, Accept'],
    ['GET', `/${streamId}?lastEventId=${streamId}.4.end`, sse, 204, 'Origin, Accept'],
    ['GET', `/${unknown}`, sse, 404, 'Origin, Accept'],
    ['DELETE', `/${streamId}`, sse, 200, 'Origin'],
    ['GET', '', sse, 200, 'Origin']
  ] as const) {
    const response = await fetch(url + path, { method, headers: { ...headers, accept } })
    await response.text()
    t.equal(response.status, status)
    t.same(response.headers.getSetCookie(), ['session=a; HttpOnly; SameSite=Lax'])
    t.match(Object.fromEntries(response.headers), { 'access-control-allow-origin': 'http://shop.example', 'access-control-allow-credentials': 'true', vary })
  }
  for (const [origin, allowed] of [['http://shop.example', 'http://shop.example'], ['http://evil.example', null]] as const) {
    const preflight = await fetch(`${url}/${streamId}`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'DELETE' } })
    t.equal(preflight.headers.get('access-control-allow-origin'), allowed)
    await preflight.body?.cancel()
  }
})

t.test('R56 a browser asks before it cancels for the page of another site, and without CORS it is told no', async t => {
  const { app, log, ready, start } = await createKeptApp(t)
  await ready()
  const streamId = await start(anna)
  const preflight = await app.inject({
    method: 'OPTIONS', url: `/streams/${streamId}`, headers: { origin: 'http://evil.example', 'access-control-request-method': 'DELETE' }
  })
  t.equal(preflight.statusCode, 404)
  // What a form can send is no DELETE, whatever it says of itself.
  const form = await app.inject({
    method: 'POST',
    url: `/streams/${streamId}?_method=DELETE`,
    headers: { ...anna, 'x-http-method-override': 'DELETE', 'content-type': 'application/x-www-form-urlencoded' },
    payload: '_method=DELETE'
  })
  t.equal(form.statusCode, 404)
  t.equal((await log.stat(streamId))?.state, 'running')
})

t.test('cancels, whatever body a client sends along, or never sends', async t => {
  const { app, log, ready, start } = await createKeptApp(t)
  await ready()
  const port = await listen(app)
  for (const head of [
    `content-type: ${json}\r\ncontent-length: 0\r\n\r\n`,
    `content-type: ${json}\r\ncontent-length: 1\r\n\r\n{`,
    'content-type: image/png\r\ncontent-length: 3\r\n\r\nabc',
    'content-length: 3\r\n\r\nabc',
    'transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n',
    `content-type: ${json}\r\ncontent-length: 5000000\r\n\r\n{`
  ]) {
    const streamId = await start(anna)
    const client = new RawClient(port)
    client.socket.write(`DELETE /streams/${streamId} HTTP/1.1\r\nhost: a\r\nx-user: anna\r\n${head}`)
    await client.until('"state":"cancelled"')
    t.match(client.text, /^HTTP\/1\.1 200 /)
    t.equal((await log.stat(streamId))?.state, 'cancelled')
  }
  // With all of them still there.
  await app.close()
})

t.test('is neither compressed nor held back by @fastify/compress', async t => {
  const { app, ready, start, gate } = await createKeptApp(t)
  await app.register(compress, { global: true, threshold: 0, customTypes: /./ })
  await ready()
  const streamId = await start(anna)
  const response = await fetch(`http://127.0.0.1:${await listen(app)}/streams/${streamId}`, { headers: { ...anna, 'accept-encoding': 'gzip, br' } })
  t.equal(response.headers.get('content-encoding'), null)
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    // The handler still waits: what has arrived was not held back for the rest.
    if (text.includes('"n":1')) gate.resolve()
  }
  t.match(text, '"total":2')
})

t.test('reads on for longer than the handlerTimeout of the server', async t => {
  const { app, ready, start, gate, logs } = await createKeptApp(t, { server: { handlerTimeout: 200 } })
  await ready()
  const streamId = await start(anna)
  const port = await listen(app)
  const clients = ['', '.2'].map(place => {
    const client = new RawClient(port)
    client.request('GET', `/streams/${streamId}`, { headers: { ...anna, ...(place !== '' && { 'last-event-id': streamId + place }) } })
    return client
  })
  for (const client of clients) await client.until('200 OK')
  await sleep(600)
  gate.resolve()
  for (const client of clients) {
    await client.until('"total":2')
    client.socket.destroy()
  }
  t.strictSame(logs.filter(({ level }) => level >= 40), [])
})

t.test('reads, resumes, cancels and lists over HTTP/2, and ends when the app closes', async t => {
  const log = new MemoryStreamLog()
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(streamingMediator, { closeGraceMs: 0, owner: 'public', onDisconnect: 'continue', streamLog: log })
  const gate = deferred()
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    const aborted = once(signal, 'abort')
    yield { n: 1 }
    await Promise.race([gate.promise, aborted])
    yield { n: 2 }
    return { total: 2 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  await app.register(streamRoutes, { prefix: '/streams', owner: () => 'anna' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  session.on('error', () => {})
  const ask = (given: Record<string, string>, body?: string): { text: Promise<string>, until: (text: string) => Promise<string>, status: Promise<number> } => {
    const headers = body === undefined ? given : { ...given, 'content-type': json }
    const stream = session.request(headers, { endStream: body === undefined })
    stream.setEncoding('utf8').on('error', () => {})
    if (body !== undefined) stream.end(body)
    let text = ''
    stream.on('data', (chunk: string) => { text += chunk })
    return {
      text: once(stream, 'close').then(() => text),
      until: async wanted => {
        while (!text.includes(wanted)) await once(stream, 'data')
        return text
      },
      status: once(stream, 'response').then(([head]) => Number((head as Record<string, unknown>)[':status']))
    }
  }
  const begin = async (): Promise<string> => JSON.parse(await ask({ ':method': 'POST', ':path': '/count', prefer: 'respond-async' }, '{"to":2}').text).streamId
  const [first, second, third] = [await begin(), await begin(), await begin()]
  const live = ask({ ':path': `/streams/${first}`, 'last-event-id': `${first}.1` })
  await live.until('"n":1')
  t.match(JSON.parse(await ask({ ':method': 'DELETE', ':path': `/streams/${second}` }).text), { state: 'cancelled' })
  t.equal(await ask({ ':method': 'HEAD', ':path': `/streams/${first}` }).status, 200)
  t.equal(await ask({ ':path': `/streams/${unknown}` }).status, 404)
  t.match(JSON.parse(await ask({ ':path': '/streams' }).text), { streams: [], next: null })
  const atTip = ask({ ':path': `/streams/${third}`, 'last-event-id': `${third}.2` })
  t.equal(await atTip.status, 200)
  const closed = app.close()
  t.match(readFrames(await live.text).map(({ event }) => event), ['progress', 'failed'])
  t.match(await atTip.text, 'MEDIATOR_ERR_SHUTTING_DOWN')
  await closed
})
