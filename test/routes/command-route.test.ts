import { once } from 'node:events'
import t from 'tap'
import fastifySwagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyServerOptions } from 'fastify'
import { commandRoute, commandRoutes, defineCommand, defineEvent, defineQuery } from '../../index.js'
import { Add, Count, Watch, createApp, deferred, listen } from '../support/app.js'
import { readFrames } from '../../lib/testing/index.js'
import { namesOf } from '../support/frames.js'
import { RawClient } from '../support/raw-client.js'

const json = { 'content-type': 'application/json' }
const seenId = 'Zk3vQx0bT2mYw9LhR4sD1A.7'

async function createCounter (t: Parameters<typeof createApp>[0], ...rest: [] | [Parameters<typeof createApp>[1]]) {
  const { app, logs } = await createApp(t, ...rest)
  const started: unknown[] = []
  app.mediator.addHandler(Count, async function * (input) {
    started.push(input)
    for (let n = 1; n <= input.to; n++) yield { n }
    return { total: input.to }
  })
  return { app, logs, started }
}

t.test('streams start, progress and complete with the headers of the protocol', async t => {
  const { app } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count' }))
  const response = await app.inject({ method: 'POST', url: '/count', payload: { to: 2 } })
  t.equal(response.statusCode, 200)
  t.match(response.headers, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-store, no-transform',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
    vary: 'Accept'
  })
  const frames = readFrames(response.body)
  const { streamId } = frames[0]!.data
  t.match(streamId, /^[A-Za-z0-9_-]{22}$/)
  t.strictSame(frames, [
    { event: 'start', id: `${streamId}.1`, data: { streamId, command: 'count', attempt: 1, resumable: false, heartbeatMs: 15_000 } },
    { event: 'progress', id: `${streamId}.2`, data: { n: 1 } },
    { event: 'progress', id: `${streamId}.3`, data: { n: 2 } },
    { event: 'complete', id: `${streamId}.4.end`, data: { total: 2 } }
  ])
})

t.test('fills in the defaults of the input', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count' }))
  await app.inject({ method: 'POST', url: '/count', payload: { to: 0 } })
  t.strictSame(started, [{ to: 0, label: 'n' }])
})

const bad: Array<[string, { headers?: Record<string, string>, payload?: string }, number, Array<{ field: string, message: string }>?]> = [
  ['bad JSON', { headers: json, payload: '{"to":' }, 400],
  ['no body', { headers: json }, 400],
  ['null', { headers: json, payload: 'null' }, 400, [{ field: '', message: 'must be object' }]],
  ['a wrong type', { headers: json, payload: '{"to":"5"}' }, 400, [{ field: 'to', message: 'must be integer' }]],
  ['a missing field', { headers: json, payload: '{}' }, 400, [{ field: 'to', message: 'is required' }]],
  ['an unknown field', { headers: json, payload: '{"to":1,"bogus":1}' }, 400, [{ field: 'bogus', message: 'is not allowed' }]],
  ['an oversized body', { headers: json, payload: JSON.stringify({ to: 1, label: 'x'.repeat(2 ** 20) }) }, 413],
  ['text/plain', { headers: { 'content-type': 'text/plain' }, payload: '{"to":1}' }, 415],
  ['a form', { headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: 'to=1' }, 415],
  ['JSON with a name that only begins like it', { headers: { 'content-type': 'application/jsonx' }, payload: '{"to":1}' }, 415],
  ['a body of no content type', { headers: { 'content-type': '' }, payload: '{"to":1}' }, 415],
  ['neither body nor content type', {}, 415],
  ['an unknown Accept', { headers: { ...json, accept: 'image/png' }, payload: '{"to":1}' }, 406],
  ['a malformed Last-Event-ID', { headers: { ...json, 'last-event-id': '1' }, payload: '{"to":1}' }, 400],
  ['an idempotency key', { headers: { ...json, 'idempotency-key': 'k' }, payload: '{"to":1}' }, 400]
]
for (const [what, request, status, errors] of bad) {
  t.test(`answers ${what} with a problem of ${status} and starts nothing`, async t => {
    const { app, started } = await createCounter(t)
    app.route(commandRoute(Count, { url: '/count' }))
    const response = await app.inject({ method: 'POST', url: '/count', ...request })
    t.equal(response.statusCode, status)
    t.match(response.headers, { 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    t.equal(response.json().detail !== undefined && response.json().detail.includes(errors?.[0]?.field ?? ''), true)
    t.match(response.json(), { type: 'about:blank', title: String, status, detail: String, code: /^(?:FST|MEDIATOR)_ERR_/, retryable: false })
    t.strictSame(response.json().errors, errors)
    t.strictSame(started, [])
  })
}

t.test('accepts JSON by any name that ends in +json where the app parses it', async t => {
  const { app } = await createCounter(t)
  app.addContentTypeParser('application/vnd.count+json', { parseAs: 'string' }, app.getDefaultJsonParser('error', 'error'))
  app.route(commandRoute(Count, { url: '/count' }))
  const response = await app.inject({ method: 'POST', url: '/count', headers: { 'content-type': 'application/vnd.count+json' }, payload: '{"to":1}' })
  t.equal(response.statusCode, 200)
})

t.test('keeps the preParsing hooks of the user, one or several', async t => {
  const { app } = await createCounter(t)
  const ran: string[] = []
  app.route(commandRoute(Count, { url: '/one', preParsing: async () => { ran.push('one') } }))
  app.route(commandRoute(Count, { url: '/many', preParsing: [async () => { ran.push('a') }, async () => { ran.push('b') }] }))
  app.route(commandRoute(Count, { url: '/get', method: 'GET', preParsing: async () => { ran.push('get') } }))
  await app.inject({ method: 'POST', url: '/one', payload: { to: 0 } })
  await app.inject({ method: 'POST', url: '/many', payload: { to: 0 } })
  await app.inject('/get?to=0')
  t.strictSame(ran, ['one', 'a', 'b', 'get'])
})

t.test('takes the input of a GET route from the query string', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
  const response = await app.inject('/count?to=1&label=2')
  t.strictSame(namesOf(readFrames(response.body)), ['start', 'progress', 'complete'])
  t.strictSame(started, [{ to: 1, label: '2' }])
  for (const [query, field] of [['', 'to'], ['to=0x1', 'to'], ['to=1&to=2', 'to'], ['to=1&x=1', 'x'], ['to=1&__proto__=1', '__proto__']]) {
    const refused = await app.inject(`/count?${query}`)
    t.equal(refused.statusCode, 400, String(query))
    t.equal(refused.json().errors[0].field, field)
  }
  t.equal(started.length, 1)
})

t.test('keeps the parameters of the protocol out of the input', async t => {
  const { app } = await createApp(t)
  const started: unknown[] = []
  app.mediator.addHandler(Watch, async function * (input, { resumeAfter }) {
    started.push(input)
    yield { event: 'tock', data: { after: resumeAfter ?? null } }
  })
  app.route(commandRoute(Watch, { url: '/watch', method: 'GET' }))
  const response = await app.inject(`/watch?to=1&lastEventId=${seenId}`)
  t.strictSame(readFrames(response.body)[1], { event: 'tock', id: readFrames(response.body)[1]!.id, data: { after: 7 } })
  t.strictSame(started, [{ to: 1 }])
  t.equal((await app.inject('/watch?to=1&idempotencyKey=abc')).json().code, 'MEDIATOR_ERR_IDEMPOTENCY_UNSUPPORTED')
  t.equal((await app.inject('/watch?to=1&lastEventId=abc')).json().code, 'MEDIATOR_ERR_MALFORMED_EVENT_ID')
  t.equal((await app.inject('/watch?to=1&lastEventId=')).statusCode, 200, 'an empty id is none')
  t.equal((await app.inject(`/watch?to=1&lastEventId=${seenId}.end`)).statusCode, 204, 'a query whose end was seen is over')
  t.equal(started.length, 2)
})

t.test('starts no command for a request that carries an id', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count' }))
  app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
  for (const request of [
    { method: 'POST', url: '/count', payload: { to: 1 }, headers: { 'last-event-id': seenId } },
    { method: 'POST', url: `/count?lastEventId=${seenId}`, payload: { to: 1 } },
    { method: 'GET', url: '/count?to=1', headers: { 'last-event-id': seenId } },
    { method: 'GET', url: '/count?to=1', headers: { 'last-event-id': `${seenId}.end` } },
    { method: 'GET', url: `/count?to=1&lastEventId=${seenId}` }
  ] as const) {
    const response = await app.inject(request)
    t.equal(response.statusCode, 204)
    t.equal(response.body, '')
    t.equal(response.headers['cache-control'], 'no-store', 'nothing between may keep it for requests without an id')
  }
  t.strictSame(started, [])
})

t.test('finds the id in a fragment too, which Fastify takes for a query string', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
  const client = new RawClient(await listen(app))
  client.request('GET', `/count#to=1&lastEventId=${seenId}`, { headers: { connection: 'close' } })
  await client.closed()
  t.match(client.text, /^HTTP\/1.1 204 /)
  t.strictSame(started, [])
})

t.test('finds the id behind a semicolon where Fastify is told to', async t => {
  for (const server of [{ routerOptions: { useSemicolonDelimiter: true } }, { useSemicolonDelimiter: true }]) {
    // The router's options are there, and not all of them in its type.
    const { app } = await createApp(t, {}, server as FastifyServerOptions)
    const started: unknown[] = []
    app.mediator.addHandler(Count, async function * (input) {
      started.push(input)
      return { total: 0 }
    })
    app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
    t.equal((await app.inject({ method: 'GET', url: `/count;to=1&lastEventId=${seenId}` })).statusCode, 204)
    t.strictSame(started, [])
    t.equal((await app.inject({ method: 'GET', url: '/count;to=1' })).statusCode, 200)
    t.equal(started.length, 1)
  }
})

t.test('refuses a body that is nested deeper than its schema can follow', async t => {
  const Tree = Type.Unsafe<object>({ $ref: '#/definitions/tree', definitions: { tree: { type: 'object', properties: { child: { $ref: '#/definitions/tree' } } } } })
  const Grow = defineCommand({ name: 'grow', input: Tree })
  const Mapped = defineCommand({ name: 'mapped', input: Tree })
  const { app, logs } = await createApp(t)
  for (const command of [Grow, Mapped]) app.mediator.addHandler(command, async () => null)
  app.route(commandRoute(Grow, { url: '/grow' }))
  app.route(commandRoute(Mapped, { url: '/mapped', schema: { body: Type.Unsafe<object>({ type: 'object' }) }, map: request => request.body as object }))
  const payload = `${'{"child":'.repeat(100_000)}{}${'}'.repeat(100_000)}`
  for (const url of ['/grow', '/mapped']) {
    const headers = { 'content-type': 'application/json' }
    t.match((await app.inject({ method: 'POST', url, headers, payload })).json(), { status: 400, code: 'FST_ERR_VALIDATION', errors: [{ field: '', message: 'is nested too deeply' }] })
    t.equal((await app.inject({ method: 'POST', url, headers, payload: '{"child":{"child":{}}}' })).statusCode, 200)
  }
  t.strictSame(logs.filter(({ level }) => level >= 50), [])
})

t.test('hides what an input of map that cannot be read throws', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count', map: () => ({ get to (): number { throw new Error('secret') }, label: '' }) }))
  const response = await app.inject({ method: 'POST', url: '/count' })
  t.equal(response.statusCode, 500)
  t.notMatch(response.body, 'secret')
  t.strictSame(started, [])
})

t.test('takes no number that JSON cannot hold for an integer', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count' }))
  for (const number of ['1e400', '-1e400']) {
    const response = await app.inject({ method: 'POST', url: '/count', headers: json, payload: `{"to":${number}}` })
    t.match(response.json(), { status: 400, errors: [{ field: 'to' }] })
  }
  t.strictSame(started, [])
})

t.test('hides what cannot be looked at, and answers it as any other failure', async t => {
  const { app, logs } = await createApp(t)
  const refuse = (): never => { throw new Error('secret') }
  app.mediator.addHandler(Add, async () => { throw new Proxy({}, { get: refuse, getPrototypeOf: refuse }) })
  app.route(commandRoute(Add, { url: '/add' }))
  const response = await app.inject({ method: 'POST', url: '/add', payload: { a: 1, b: 2 } })
  t.equal(response.headers['content-type'], 'application/problem+json')
  t.match(response.json(), { status: 500, code: 'INTERNAL_SERVER_ERROR', detail: undefined })
  t.equal(logs.filter(({ level }) => level === 50).length, 1)
})

t.test('closes a top-level object that does not speak of additional properties, and nothing else', async t => {
  const { app } = await createApp(t)
  const inputs = {
    open: Type.Object({ a: Type.Integer() }, { additionalProperties: true }),
    both: Type.Intersect([Type.Object({ a: Type.Integer() }), Type.Object({ b: Type.Optional(Type.Integer()) })])
  }
  for (const [name, input] of Object.entries(inputs)) {
    const Echo = defineQuery({ name, input, result: Type.Any() })
    app.mediator.addHandler(Echo, input => input)
    app.route(commandRoute(Echo, { url: `/${name}` }))
  }
  for (const name of Object.keys(inputs)) {
    t.strictSame((await app.inject({ method: 'POST', url: `/${name}`, payload: { a: 1, x: 2 } })).json(), { a: 1, x: 2 })
  }
})

t.test('takes no other part of a url for an id', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count' }))
  t.equal((await app.inject({ method: 'POST', url: '/count?xlastEventId=1&idempotencyKeys=1', payload: { to: 1 } })).statusCode, 200)
  t.equal(started.length, 1)
})

t.test('answers HEAD without running a handler, and has no answer to OPTIONS', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
  const response = await app.inject({ method: 'HEAD', url: '/count?to=1' })
  t.equal(response.statusCode, 200)
  t.equal(response.headers['content-type'], 'text/event-stream')
  t.equal(response.headers['content-length'], undefined)
  t.equal((await app.inject({ method: 'OPTIONS', url: '/count?to=1' })).statusCode, 404)
  t.strictSame(started, [])
})

t.test('answers JSON with the result alone, and NDJSON with a frame a line', async t => {
  const { app } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count' }))
  const result = await app.inject({ method: 'POST', url: '/count', payload: { to: 2 }, headers: { accept: 'application/json' } })
  t.match(result.headers, { 'content-type': /^application\/json/, 'cache-control': 'no-store', vary: 'Accept' })
  t.equal(result.body, '{"total":2}')
  const lines = await app.inject({ method: 'POST', url: '/count', payload: { to: 1 }, headers: { accept: 'application/x-ndjson' } })
  t.equal(lines.headers['content-type'], 'application/x-ndjson')
  const { streamId } = JSON.parse(lines.body.split('\n')[0]!).data
  t.equal(lines.body.split('\n').slice(1).join('\n'),
    `{"event":"progress","id":"${streamId}.2","data":{"n":1}}\n{"event":"complete","id":"${streamId}.3.end","data":{"total":1}}\n`)
})

t.test('answers JSON to anything where a definition has no progress', async t => {
  const { app } = await createApp(t)
  app.mediator.addHandler(Add, async ({ a, b }) => a + b)
  app.route(commandRoute(Add, { url: '/add' }))
  t.equal((await app.inject({ method: 'POST', url: '/add', payload: { a: 1, b: 2 } })).body, '3')
  const streamed = await app.inject({ method: 'POST', url: '/add', payload: { a: 1, b: 2 }, headers: { accept: 'text/event-stream' } })
  t.strictSame(namesOf(readFrames(streamed.body)), ['start', 'complete'])
})

t.test('adds to the Vary header of a hook instead of replacing it', async t => {
  const { app } = await createCounter(t)
  let vary = 'Origin'
  app.addHook('onRequest', async (_request, reply) => { void reply.header('vary', vary).header('set-cookie', 'a=1') })
  app.route(commandRoute(Count, { url: '/count' }))
  const answer = async () => (await app.inject({ method: 'POST', url: '/count', payload: { to: 0 } })).headers
  t.match(await answer(), { vary: 'Origin, Accept', 'set-cookie': 'a=1' })
  vary = 'origin, accept'
  t.match(await answer(), { vary: 'origin, accept' })
  vary = '*'
  t.match(await answer(), { vary: '*' })
})

t.test('makes the input by map, from any part of the request, and checks it', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, {
    url: '/count/:to',
    schema: { params: Type.Object({ to: Type.Integer() }), body: Type.Object({ label: Type.String() }) },
    map: async ({ params, body }) => ({ to: params.to, label: body.label })
  }))
  app.route(commandRoute(Count, {
    url: '/wrong', method: 'GET', schema: { querystring: Type.Object({ n: Type.Integer() }) }, map: ({ query }) => ({ to: -query.n, label: 'x', extra: 1 })
  }))
  const response = await app.inject({ method: 'POST', url: '/count/1', payload: { label: 'x' } })
  t.strictSame(namesOf(readFrames(response.body)), ['start', 'progress', 'complete'])
  t.strictSame(started, [{ to: 1, label: 'x' }])
  t.equal((await app.inject({ method: 'POST', url: '/count/x', payload: { label: 'x' } })).json().errors[0].field, 'to')
  t.equal((await app.inject({ method: 'POST', url: '/count/1', payload: '{"label":"x"}', headers: { 'content-type': 'text/plain' } })).statusCode, 415)
  const refused = await app.inject('/wrong?n=1')
  t.equal(refused.statusCode, 400)
  t.match(refused.json(), { code: 'FST_ERR_VALIDATION', errors: [{ field: 'extra', message: 'is not allowed' }] })
  t.equal(started.length, 1)
})

t.test('reads typed headers for map', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, {
    url: '/count', method: 'GET', schema: { headers: Type.Object({ 'x-to': Type.Integer() }) }, map: ({ headers }) => ({ to: headers['x-to'], label: '' })
  }))
  await app.inject({ url: '/count', headers: { 'x-to': '3' } })
  t.match(started, [{ to: 3 }])
})

t.test('gives an early failure its HTTP status, and hides what a 5xx is about', async t => {
  const { app, logs } = await createApp(t)
  const failures: unknown[] = []
  app.mediator.addHandler(Count, async function * () { throw failures.shift() })
  app.route(commandRoute(Count, { url: '/count' }))
  const post = async (error: unknown, accept = 'text/event-stream') => {
    failures.push(error)
    return await app.inject({ method: 'POST', url: '/count', payload: { to: 1 }, headers: { accept } })
  }
  for (const accept of ['text/event-stream', 'application/json']) {
    const missing = await post(Object.assign(new Error('No such file'), { statusCode: 404, code: 'NO_FILE' }), accept)
    t.equal(missing.statusCode, 404)
    const { instance, ...problem } = missing.json()
    t.strictSame(problem, { type: 'about:blank', title: 'Not Found', status: 404, detail: 'No such file', code: 'NO_FILE', retryable: false })
    t.match(logs.find(line => line['streamId'] === instance), { level: 30, msg: 'request failed' })

    const secret = await post(Object.assign(new Error('password=1'), { status: 404 }), accept)
    t.equal(secret.statusCode, 500)
    t.notMatch(secret.body, /password/)
    t.match(logs.find(line => line['streamId'] === secret.json().instance), { level: 50, err: { message: 'password=1' } })
  }
  t.equal((await post('text')).statusCode, 500)
  t.equal((await post(new Proxy(new Error('x'), { get (_error, key) { if (key !== 'statusCode') throw new Error('trap') } }))).statusCode, 500)
  t.equal((await post(undefined)).statusCode, 500)
})

t.test('gives an id to a 5xx that no stream is behind', async t => {
  const { app, logs } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count', preHandler: async () => { throw new Error('secret') } }))
  const response = await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })
  t.equal(response.statusCode, 500)
  t.strictSame(Object.keys(response.json()).sort(), ['code', 'instance', 'retryable', 'status', 'title', 'type'])
  t.ok(logs.some(line => line['instance'] === response.json().instance && line.level === 50))
})

t.test('leaves errors to the route\'s or the app\'s error handler when told to', async t => {
  const { app } = await createCounter(t)
  app.setErrorHandler(async (_error, _request, reply) => await reply.code(418).send('app'))
  app.route(commandRoute(Count, { url: '/own', errorHandler: (_error, _request, reply) => { void reply.code(419).send('own') } }))
  app.route(commandRoute(Count, { url: '/app', errorHandler: false }))
  app.route(commandRoute(Count, { url: '/ours' }))
  for (const [url, status] of [['/own', 419], ['/app', 418], ['/ours', 400]] as const) {
    t.equal((await app.inject({ method: 'POST', url, payload: {} })).statusCode, status)
  }
})

t.test('fails a stream whose output does not match, and tells only the log why', async t => {
  const { app, logs } = await createApp(t)
  const outputs: Array<{ progress?: unknown, result?: unknown }> = []
  app.mediator.addHandler(Count, async function * () {
    const { progress, result } = outputs.shift()!
    if (progress !== undefined) yield progress as { n: number }
    return result as { total: number }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const post = async (output: { progress?: unknown, result?: unknown }, accept = 'text/event-stream') => {
    outputs.push(output)
    return await app.inject({ method: 'POST', url: '/count', payload: { to: 1 }, headers: { accept } })
  }
  for (const response of [
    await post({ progress: { n: '1' } }),
    await post({ result: { total: '1' } }),
    await post({ result: undefined }),
    await post({ result: { total: 1.5 } }, 'application/json')
  ]) {
    t.equal(response.statusCode, 500)
    t.match(response.json(), { code: 'MEDIATOR_ERR_INVALID_OUTPUT', retryable: false })
    t.notMatch(response.body, /integer/)
  }
  t.equal(logs.filter(line => /must be integer|must be object/.test((line['err'] as { message?: string } | undefined)?.message ?? '')).length, 4)
  const late = await post({ progress: { n: 1 }, result: { total: 'x' } })
  t.strictSame(namesOf(readFrames(late.body)), ['start', 'progress', 'failed'])
})

t.test('tells of another stream\'s abort as a failure of this one', async t => {
  const { app } = await createApp(t)
  app.mediator.addHandler(Add, async (_input, { signal }) => {
    await once(signal, 'abort')
    return 0
  })
  app.mediator.addHandler(Count, async function * ({ to }) {
    if (to === 1) yield { n: 1 }
    const controller = new AbortController()
    setImmediate(() => controller.abort())
    await app.mediator.send(Add, { a: 1, b: 1 }, { signal: controller.signal })
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const frames = readFrames((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).body)
  t.match(frames.at(-1), { event: 'failed', data: { status: 500, code: 'MEDIATOR_ERR_STREAM_ABORTED' } })
  for (const accept of ['text/event-stream', 'application/json']) {
    const early = await app.inject({ method: 'POST', url: '/count', payload: { to: 2 }, headers: { accept } })
    t.match(early.json(), { status: 500, code: 'MEDIATOR_ERR_STREAM_ABORTED' })
  }
})

t.test('renames events and wraps them in envelopes', async t => {
  const { app } = await createApp(t)
  app.mediator.addHandler(Count, async function * ({ to }) {
    yield { n: 1 }
    if (to === 0) throw Object.assign(new Error('No'), { statusCode: 422 })
    return { total: to }
  })
  app.route(commandRoute(Count, { url: '/count', framing: 'envelope', eventNames: { failed: 'error', progress: 'step' } }))
  const good = readFrames((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).body)
  t.match(good.map(({ event, data }) => ({ event, data })), [
    { event: undefined, data: { type: 'start', command: 'count' } },
    { event: undefined, data: { type: 'step', data: { n: 1 } } },
    { event: undefined, data: { type: 'complete', total: 1 } }
  ])
  const failed = readFrames((await app.inject({ method: 'POST', url: '/count', payload: { to: 0 } })).body).at(-1)
  t.match(failed, { data: { type: 'error', status: 422, message: 'No' } })
})

t.test('sends no frame for a yielded undefined, and handles its events', async t => {
  const { app } = await createApp(t)
  const Packed = defineEvent({ name: 'packed', payload: Type.Integer() })
  const packed: unknown[] = []
  app.mediator.addEventHandler(Packed, ({ payload }) => { packed.push(payload) })
  app.mediator.addHandler(Count, async function * ({ to }, { emit }) {
    emit(Packed, 0)
    yield undefined
    for (let n = 1; n <= to; n++) {
      // What was emitted before the yields without progress is handled, although nothing was sent.
      t.strictSame(packed, Array.from({ length: n }, (_, index) => index))
      emit(Packed, n)
      yield n % 2 === 0 ? { n } : undefined
    }
    emit(Packed, to + 1)
    return { total: to }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const frames = readFrames((await app.inject({ method: 'POST', url: '/count', payload: { to: 3 } })).body)
  t.match(frames.map(({ event, data }) => [event, data]), [['start', {}], ['progress', { n: 2 }], ['complete', { total: 3 }]])
  t.strictSame(frames.map(({ id }) => id.split('.')[1]), ['1', '2', '3'], 'it takes no number either')
  t.strictSame(packed, [0, 1, 2, 3, 4])
})

t.test('refuses at once what cannot work as a route', async t => {
  const Nested = defineCommand({ name: 'nested', input: Type.Object({ a: Type.Object({}) }) })
  t.throws(() => commandRoute(Nested, { url: '/', method: 'GET' }), { code: 'MEDIATOR_ERR_INVALID_ROUTE', message: /member a/ })
  t.throws(() => commandRoute(Count, { url: '/', method: 'PUT' as 'GET' }), { code: 'MEDIATOR_ERR_INVALID_ROUTE' })
  t.throws(() => commandRoute(Count, { url: '/', commitAfterMs: -1 }), { code: 'MEDIATOR_ERR_INVALID_ROUTE' })
  t.throws(() => commandRoute(Count, { url: '/', schema: { body: Type.Object({}) } }), { code: 'MEDIATOR_ERR_INVALID_ROUTE', message: /pass `map`/ })
  t.throws(() => commandRoute(Count, { url: '/', method: 'GET', schema: { querystring: Type.Object({}) } }), { code: 'MEDIATOR_ERR_INVALID_ROUTE' })
  t.throws(() => commandRoute(Count, { url: '/', framing: 'x' as 'event' }), { code: 'MEDIATOR_ERR_INVALID_OPTIONS' })
  t.throws(() => commandRoute({ ...Count }, { url: '/' }), { code: 'MEDIATOR_ERR_INVALID_DEFINITION' })
})

t.test('answers a coded 500 where the plugin or the handler is missing at the first request', async t => {
  const bare = Fastify()
  t.teardown(() => bare.close())
  bare.route(commandRoute(Count, { url: '/count' }))
  t.equal((await bare.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).json().code, 'MEDIATOR_ERR_PLUGIN_MISSING')
  const { app } = await createApp(t)
  await app.ready()
  t.throws(() => app.mediator.stream(Count, { to: 1, label: '' }), { code: 'MEDIATOR_ERR_UNKNOWN_COMMAND' })
})

t.test('works below prefixes, with hooks, in encapsulated contexts and as a query', async t => {
  const { app } = await createApp(t)
  app.mediator.addHandler(Watch, async function * ({ to }) {
    for (let n = 1; n <= to; n++) yield { event: 'tick', data: { n } }
  })
  await app.register(async scope => {
    scope.addHook('preHandler', async (request, reply) => { if (request.headers['x-user'] === undefined) return await reply.code(401).send({}) })
    scope.route(commandRoute(Watch, { url: '/watch', method: 'GET' }))
  }, { prefix: '/v1' })
  t.equal((await app.inject('/v1/watch?to=1')).statusCode, 401)
  const response = await app.inject({ url: '/v1/watch?to=2', headers: { 'x-user': 'a' } })
  t.strictSame(namesOf(readFrames(response.body)), ['start', 'tick', 'tick', 'complete'])
})

t.test('serializes other answers of the route by the schema that the user gave', async t => {
  const { app } = await createCounter(t)
  app.route(commandRoute(Count, {
    url: '/count',
    schema: { response: { 401: Type.Object({ error: Type.String() }) } },
    preHandler: async (_request, reply) => await reply.code(401).send({ error: 'no', secret: 1 })
  }))
  t.equal((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).body, '{"error":"no"}')
})

t.test('has a schema that @fastify/swagger prints', async t => {
  const { app } = await createApp(t)
  await app.register(fastifySwagger, { openapi: { openapi: '3.1.0' } })
  app.mediator.addHandler(Count, async function * () { return { total: 1 } })
  app.mediator.addHandler(Watch, async function * () {})
  app.mediator.addHandler(Add, () => 1)
  await app.register(commandRoutes, { commands: [Count, Watch, Add], prefix: '/commands' })
  await app.ready()
  const { paths } = app.swagger()
  const operation = paths?.['/commands/count']?.post
  t.match(operation, {
    requestBody: { content: { 'application/json': { schema: { properties: { to: { type: 'integer' } }, additionalProperties: false } } } },
    responses: {
      200: { content: { 'text/event-stream': { schema: { type: 'string' } }, 'application/json': { schema: { properties: { total: { type: 'integer' } } } } } },
      default: { content: { 'application/problem+json': { schema: { properties: { code: { type: 'string' } } } } } }
    }
  })
  t.match(paths?.['/commands/watch']?.get, { parameters: [{ in: 'query', name: 'to' }] })
})

t.test('serves an instance whose validator and serializer belong to another type provider', async t => {
  const { app } = await createCounter(t)
  app.setValidatorCompiler(() => { throw new Error('not a schema of mine') })
  app.setSerializerCompiler(() => { throw new Error('not a schema of mine') })
  app.route(commandRoute(Count, { url: '/count' }))
  t.equal((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).statusCode, 200)
})

t.test('aborts a JSON request whose client leaves, with one line of ours and no error', async t => {
  const { app, logs } = await createApp(t)
  const started = deferred()
  const reason = deferred<unknown>()
  app.mediator.addHandler(Count, async function * (_input, { signal }) {
    started.resolve()
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    reason.resolve(signal.reason)
    return { total: 0 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', { body: { to: 1 }, headers: { accept: 'application/json' } })
  await started.promise
  client.socket.destroy()
  t.match(await reason.promise, { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'client-closed' })
  await app.close()
  t.equal(logs.filter(line => line.msg === 'stream ended').length, 1)
  t.strictSame(logs.filter(line => line.level >= 40), [])
})

for (const accept of ['text/event-stream', 'application/json']) {
  t.test(`starts nothing when a client that wants ${accept} has left during an asynchronous hook`, async t => {
    const { app, logs, started } = await createCounter(t)
    const entered = deferred()
    const closed = deferred()
    app.route(commandRoute(Count, {
      url: '/count',
      preHandler: async (_request, reply) => {
        entered.resolve()
        await once(reply.raw, 'close')
        setImmediate(closed.resolve)
      }
    }))
    const client = new RawClient(await listen(app))
    client.request('POST', '/count', { body: { to: 1 }, headers: { accept } })
    await entered.promise
    client.socket.destroy()
    await closed.promise
    t.strictSame(started, [])
    t.match(logs.filter(line => line.msg === 'stream ended'), [{ level: 30, command: 'count', reason: 'client-closed' }])
    t.strictSame(logs.filter(line => line.level >= 40), [])
  })
}

t.test('answers nothing to a client that has left when a hook fails, and logs the failure', async t => {
  const { app, logs } = await createCounter(t)
  const entered = deferred()
  const failed = deferred()
  app.addHook('onError', async () => { setImmediate(failed.resolve) })
  app.route(commandRoute(Count, {
    url: '/count',
    preHandler: async (_request, reply) => {
      entered.resolve()
      await once(reply.raw, 'close')
      throw new Error('too late')
    }
  }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', { body: { to: 1 } })
  await entered.promise
  client.socket.destroy()
  await failed.promise
  t.match(logs.filter(({ msg }) => msg === 'request failed'), [{ level: 50, err: { message: 'too late' } }])
})

t.test('logs a failure of the handler when the client leaves while the events of the stream settle', async t => {
  const Emitted = defineEvent({ name: 'emitted', payload: Type.Null() })
  for (const accept of ['text/event-stream', 'application/json']) {
    const { app, logs } = await createApp(t)
    const handling = deferred()
    const gate = deferred()
    app.mediator.addEventHandler(Emitted, async () => {
      handling.resolve()
      await gate.promise
    })
    app.mediator.addHandler(Count, async function * (_input, { emit }) {
      yield { n: 1 }
      emit(Emitted, null)
      throw new Error('a real bug')
    })
    app.route(commandRoute(Count, { url: '/count' }))
    const client = new RawClient(await listen(app))
    client.request('POST', '/count', { body: { to: 1 }, headers: { accept } })
    await handling.promise
    client.socket.destroy()
    await once(client.socket, 'close')
    gate.resolve()
    await app.close()
    const lines = logs.filter(({ level, msg }) => level >= 40 || msg === 'stream ended')
    t.match(lines, [{ level: 50, err: { message: 'a real bug' } }], accept)
    t.equal(lines.length, 1)
  }
})

t.test('logs a client that has left in vain, not its 404', async t => {
  const { app, logs } = await createCounter(t)
  const entered = deferred()
  const failed = deferred()
  app.addHook('onError', async () => { setImmediate(failed.resolve) })
  app.route(commandRoute(Count, {
    url: '/count',
    preHandler: async (_request, reply) => {
      entered.resolve()
      await once(reply.raw, 'close')
      throw Object.assign(new Error('No'), { statusCode: 404 })
    }
  }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', { body: { to: 1 } })
  await entered.promise
  client.socket.destroy()
  await failed.promise
  t.strictSame(logs.filter(({ msg }) => msg === 'request failed'), [])
})

t.test('does not run a handler on input that attachValidation let through', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count', attachValidation: true }))
  const response = await app.inject({ method: 'POST', url: '/count', payload: {} })
  t.match(response.json(), { status: 400, code: 'FST_ERR_VALIDATION', errors: [{ field: 'to' }] })
  t.strictSame(started, [])
})

t.test('finds the parameters of the protocol however they are written', async t => {
  const { app, started } = await createCounter(t)
  app.route(commandRoute(Count, { url: '/count' }))
  app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
  for (const query of [`last%45ventId=${seenId}`, `lastEventId=&lastEventId=${seenId}`]) {
    t.equal((await app.inject({ method: 'POST', url: `/count?${query}`, payload: { to: 1 } })).statusCode, 204, query)
    t.equal((await app.inject(`/count?to=1&${query}`)).statusCode, 204, query)
  }
  t.equal((await app.inject({ url: `/count?to=1&lastEventId=${seenId}`, headers: { 'last-event-id': '' } })).statusCode, 204)
  t.equal((await app.inject('/count?to=1&idempotency%4Bey=x')).statusCode, 400)
  t.strictSame(started, [])
})

t.test('leaves the headers of a stream off an early failure', async t => {
  const { app } = await createApp(t)
  app.mediator.addHandler(Count, () => { throw Object.assign(new Error('No'), { statusCode: 404 }) })
  app.route(commandRoute(Count, { url: '/count' }))
  const { headers } = await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })
  t.equal(headers['x-accel-buffering'], undefined)
})

t.test('logs its own shutdown as no error', async t => {
  const { app, logs } = await createApp(t, { commitAfterMs: Infinity })
  const started = deferred()
  app.mediator.addHandler(Count, async (_input, { signal }) => {
    started.resolve()
    await once(signal, 'abort')
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  client.request('POST', '/count', { body: { to: 1 } })
  await started.promise
  await app.close()
  await client.closed()
  t.match(client.text, /503 Service Unavailable/)
  t.strictSame(logs.filter(({ level }) => level >= 40), [])
})

t.test('refuses a query that is asked for what its result cannot be', async t => {
  const Broken = defineQuery({ name: 'broken', input: Type.Object({}), result: Type.Integer() })
  const { app } = await createApp(t)
  app.mediator.addHandler(Broken, () => 'x' as unknown as number)
  app.route(commandRoute(Broken, { url: '/broken', method: 'GET' }))
  t.equal((await app.inject('/broken')).statusCode, 500)
})
