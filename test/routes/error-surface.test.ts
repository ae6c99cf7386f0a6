import { once } from 'node:events'
import { Writable } from 'node:stream'
import t from 'tap'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import streamingMediator, { commandRoute, defineCommand, defineEvent } from '../../index.js'
import type { CommandRouteOptions, StreamingMediatorOptions } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { Count, createApp, deferred, listen } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import { namesOf } from '../support/frames.js'
import { RawClient } from '../support/raw-client.js'

const secret = 'SECRET'

function failing (members: object, message = secret): Error {
  return Object.assign(new Error(message), members)
}

function trap (): never {
  throw new Error(secret)
}

function withGetters (...names: string[]): Error {
  return Object.defineProperties(new Error(secret), Object.fromEntries(names.map(name => [name, { get: trap, enumerable: true }])))
}

function causes (depth: number): Error {
  let error = new Error(secret)
  for (let n = 0; n < depth; n++) error = new Error(secret, { cause: error })
  return error
}

function circle (): Error {
  const first = new Error(secret)
  first.cause = new Error(secret, { cause: first })
  return first
}

function revoked (target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

const validation = { instancePath: '/a', schemaPath: '#', keyword: 'type', params: {}, message: 'must be string' }

/** What is thrown, the status that it deserves and, below 500, its detail. */
const thrown: Array<[name: string, value: unknown, status: number, detail?: string | RegExp]> = [
  ['an error', new Error(secret), 500],
  ['an error that exposes itself', failing({ expose: true }), 500],
  ['an error of 503', failing({ statusCode: 503 }), 503],
  ['an error of 599', failing({ statusCode: 599 }), 500],
  ['an error of a success', failing({ statusCode: 200 }), 500],
  ['an error with the status of an upstream', failing({ status: 404 }), 500],
  ['an error of an HTTP client', failing({ status: 404, response: { data: secret }, config: { headers: { authorization: secret } } }), 500],
  ['undefined', undefined, 500],
  ['null', null, 500],
  ['zero', 0, 500],
  ['an empty text', '', 500],
  ['a number', 404, 500],
  ['a text', secret, 500],
  ['a bigint', 1n, 500],
  ['a symbol', Symbol(secret), 500],
  ['a function', function SECRET () {}, 500],
  ['a frozen object', Object.freeze({ message: secret, password: secret }), 500],
  ['an object without a prototype', Object.assign(Object.create(null), { message: secret }), 500],
  ['a list', [secret], 500],
  ['a promise', Promise.resolve(secret), 500],
  ['a proxy whose traps throw', new Proxy(new Error(secret), { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap, getOwnPropertyDescriptor: trap }), 500],
  ['a revoked proxy of an error', revoked(new Error(secret)), 500],
  ['a revoked proxy of a function', revoked(() => {}), 500],
  ['causes in a circle', circle(), 500],
  ['an error that is its own cause', (() => { const error = new Error(secret); error.cause = error; return error })(), 500],
  ['causes 20,000 deep', causes(20_000), 500],
  ['an AggregateError', new AggregateError([new Error(secret), null, failing({ statusCode: 404 })], secret), 500],
  ...['message', 'stack', 'code', 'statusCode', 'cause', 'name', 'toJSON', 'expose', 'validation', 'errors'].map(
    name => [`an error whose ${name} throws`, withGetters(name), 500] as [string, unknown, number]
  ),
  ['an error of 404 whose message throws', Object.assign(withGetters('message'), { statusCode: 404 }), 404],
  ['an error of 404 whose expose throws', Object.assign(withGetters('expose'), { statusCode: 404, message: 'No' }), 404, 'No'],
  ['an error whose toJSON gives its secrets', failing({ toJSON: () => ({ secret }) }), 500],
  ['a system error', failing({ code: 'ENOENT', path: `/${secret}`, syscall: 'open' }), 500],
  ['an error with a code of a framework', failing({ code: 'FST_ERR_SOMETHING' }), 500],
  ['an error with a code that is a text of its own', failing({ code: `MEDIATOR_ERR_X\n${secret}` }), 500],
  ['a message of 1 MB', failing({}, secret.repeat(1_000_000 / secret.length)), 500],
  ['a message that is no text', failing({ statusCode: 400, message: { secret } }), 400],
  ['an error of 404', failing({ statusCode: 404, code: 'NO_FILE' }, 'No such file'), 404, 'No such file'],
  ['an object of 404', { statusCode: 404, message: 'No such file' }, 404, 'No such file'],
  ['an error of 404 that does not expose itself', failing({ statusCode: 404, expose: false }), 404],
  ['an error of 404 with line breaks', failing({ statusCode: 404 }, 'a\r\n\r\nevent: complete\ndata: {}\u2028\n\n'), 404, 'a\r\n\r\nevent: complete\ndata: {}\u2028\n\n'],
  ['an error of 404 with half a character', failing({ statusCode: 404 }, 'a\ud800'), 404, 'a\ud800'],
  ['a validation error', failing({ statusCode: 400, validation: [validation] }), 400, 'a must be string'],
  ...([
    ['no list', 'x'], ['an empty list', []], ['a list of null', [null]], ['a list of texts', ['x']], ['entries without params', [{ instancePath: '/a' }]],
    ['a bigint as message', [{ ...validation, message: 1n }]], ['a symbol as keyword', [{ instancePath: '', params: {}, keyword: Symbol('x') }]],
    ['a circle', (() => { const list: unknown[] = []; list.push(list); return list })()], ['a revoked proxy', revoked([])],
    ['an allowed value of no JSON', [{ ...validation, keyword: 'const', params: { allowedValue: 1n } }]],
    ['a path that is no text', [{ ...validation, instancePath: 5 }]]
  ] as const).map(([shape, validation]) => [`validation as ${shape}`, failing({ statusCode: 400, validation }, 'Bad'), 400, /Bad|fails type/] as [string, unknown, number, RegExp])
]

/** What the place of the test throws at the moment. */
let current: unknown

interface Place {
  readonly plugin?: StreamingMediatorOptions
  readonly route?: Partial<CommandRouteOptions<typeof Count>>
  readonly setUp?: (app: FastifyInstance) => void
  /** Whether the answer has begun before. */
  readonly late?: boolean
  /** Errors of event handlers are wrapped: whatever they are, the failure is the server's. */
  readonly always500?: boolean
}

const Happened = defineEvent({ name: 'happened', payload: Type.Null() })

const places: Record<string, Place> = {
  'a function': { setUp: app => app.mediator.addHandler(Count, async () => { throw current }) },
  'a function that is not async': { setUp: app => app.mediator.addHandler(Count, () => { throw current }) },
  'a generator before its first yield': { setUp: app => app.mediator.addHandler(Count, async function * () { throw current }) },
  'a generator after a yield': {
    late: true,
    setUp: app => app.mediator.addHandler(Count, async function * () {
      yield { n: 1 }
      throw current
    })
  },
  'the finally block of a generator': {
    late: true,
    setUp: app => app.mediator.addHandler(Count, async function * () {
      try {
        yield { n: 1 }
        return { total: 1 }
      } finally {
        // eslint-disable-next-line no-unsafe-finally
        throw current
      }
    })
  },
  'a hand-written iterator': {
    setUp: app => app.mediator.addHandler(Count, (() => ({ [Symbol.asyncIterator]: () => ({ next () { throw current } }) })) as never)
  },
  'an event handler': {
    always500: true,
    late: true,
    setUp: app => {
      app.mediator.addEventHandler(Happened, async () => { throw current })
      app.mediator.addHandler(Count, async function * (_input, { emit }) {
        yield { n: 1 }
        emit(Happened, null)
        return { total: 1 }
      })
    }
  },
  'a behavior': {
    setUp: app => {
      app.mediator.addBehavior(async function * () { throw current })
      app.mediator.addHandler(Count, () => ({ total: 1 }))
    }
  },
  'a behavior after progress': {
    late: true,
    setUp: app => {
      app.mediator.addBehavior(async function * (_call, next) {
        yield * next()
        throw current
      })
      app.mediator.addHandler(Count, async function * () {
        yield { n: 1 }
        return { total: 1 }
      })
    }
  },
  'a call of the mediator': {
    setUp: app => {
      const Inner = defineCommand({ name: 'inner', input: Type.Null() })
      app.mediator.addHandler(Inner, () => { throw current })
      app.mediator.addHandler(Count, async (_input, { mediator }) => {
        await mediator.send(Inner, null)
        return { total: 1 }
      })
    }
  },
  map: { route: { map: async () => { throw current } } },
  caller: { plugin: { caller: async () => { throw current } } },
  owner: { plugin: { owner: () => { throw current } } },
  scope: {
    plugin: { scope: () => { throw current } },
    setUp: app => app.mediator.addHandler(Count, (_input, { scope }) => scope.resolve('total') as never)
  },
  'the resolving of a handler class': {
    plugin: { scope: () => ({ resolve () { throw current } }) },
    setUp: app => app.mediator.addHandler(Count, class { handle () { return { total: 1 } } })
  },
  'a preHandler hook': { route: { preHandler: async () => { throw current } } },
  'an onRequest hook': { route: { onRequest: async () => { throw current } } },
  'a preParsing hook': { route: { preParsing: async () => { throw current } } }
}

// A line of the log that holds a raw line break would be two.
async function createLogged (t: Parameters<typeof createApp>[0], options: StreamingMediatorOptions = {}) {
  const texts: string[] = []
  const logs: LogLine[] = []
  const stream = new Writable({
    write (chunk, _encoding, callback) {
      texts.push(String(chunk))
      logs.push(JSON.parse(String(chunk)))
      callback()
    }
  })
  const app = Fastify({ logger: { level: 'debug', stream } })
  t.teardown(() => app.close())
  await app.register(streamingMediator, { closeGraceMs: 0, commitAfterMs: Infinity, ...options })
  return { app, logs, texts }
}

for (const [place, { plugin, route = {}, setUp, late = false, always500 = false }] of Object.entries(places)) {
  t.test(`hides what ${place} throws where the server is at fault, and logs it under the client's id`, async t => {
    const { app, logs, texts } = await createLogged(t, plugin)
    if (setUp === undefined) app.mediator.addHandler(Count, () => ({ total: 1 }))
    else setUp(app)
    for (const framing of ['event', 'envelope'] as const) app.route(commandRoute(Count, { url: `/${framing}`, framing, ...route }))
    const wrong: unknown[] = []
    let answered = 0
    for (const [name, value, ownStatus, ownDetail] of thrown) {
      const status = always500 ? 500 : ownStatus
      // Before the first byte all streams are alike.
      for (const accept of ['text/event-stream', ...(late ? ['application/x-ndjson'] : []), 'application/json']) {
        for (const framing of late && accept === 'text/event-stream' ? ['event', 'envelope'] as const : ['event'] as const) {
          current = value
          logs.length = 0
          texts.length = 0
          const response = await app.inject({ method: 'POST', url: `/${framing}`, payload: { to: 1 }, headers: { accept } })
          const begun = late && accept !== 'application/json'
          const data = begun ? readFrames(response.body).at(-1)!.data : response.json()
          const line = logs.find(({ streamId, instance }) => data.instance !== undefined && (streamId === data.instance || instance === data.instance))
          const { message, ...problem } = data
          const faults = {
            status: problem.status !== status || response.statusCode !== (begun ? 200 : status),
            type: !begun && response.headers['content-type'] !== 'application/problem+json',
            frames: begun && namesOf(readFrames(response.body)).at(-1) !== (framing === 'envelope' && accept === 'text/event-stream' ? undefined : 'failed'),
            told: status >= 500 && (response.body + JSON.stringify(response.headers)).includes(secret),
            members: status >= 500 && Object.keys(problem).filter(key => key !== 'type').sort().join() !== 'code,instance,retryable,status,title',
            code: status >= 500 && !/^(?:INTERNAL_SERVER_ERROR|SERVICE_UNAVAILABLE|(?:FST|MEDIATOR)_ERR_[A-Z_]+)$/.test(problem.code),
            detail: status < 500 && (ownDetail === undefined ? 'detail' in problem : !(ownDetail instanceof RegExp ? ownDetail.test(problem.detail) : problem.detail === ownDetail)),
            logged: status >= 500 ? line === undefined || line.level !== 50 || line['err'] === undefined : logs.some(({ level }) => level >= 40),
            lines: texts.some(text => text.indexOf('\n') !== text.length - 1)
          }
          answered++
          for (const [fault, isThere] of Object.entries(faults)) {
            if (isThere) wrong.push({ name, accept, framing, fault, body: response.body.slice(-400), logs: texts.map(text => text.slice(0, 300)) })
          }
        }
      }
    }
    t.equal(answered, thrown.length * (late ? 4 : 2))
    t.strictSame(wrong.slice(0, 10), [])
    t.equal(app.mediator.stats().streams, 0)
  })
}

t.test('leaves a message out that is too long for a frame, and tells the rest', async t => {
  const { app } = await createLogged(t, { maxFrameBytes: 2_000 })
  app.mediator.addHandler(Count, async function * () {
    yield { n: 1 }
    throw failing({ statusCode: 404, code: 'NO_FILE' }, 'x'.repeat(10_000_000))
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const frames = readFrames((await app.inject({ method: 'POST', url: '/count', payload: { to: 1 } })).body)
  t.match(frames.at(-1), { event: 'failed', data: { status: 404, code: 'NO_FILE', detail: undefined } })
})

const Anything = defineCommand({ name: 'anything', input: Type.Object({ value: Type.String() }), progress: Type.Any(), result: Type.Any() })

const unwritable: Record<string, () => unknown> = {
  'a bigint': () => ({ a: 1n }),
  'a circle': () => {
    const value: Record<string, unknown> = {}
    value['self'] = value
    return value
  },
  'a toJSON that throws': () => ({ toJSON: trap }),
  'a getter that throws': () => Object.defineProperty({}, 'a', { enumerable: true, get: trap }),
  'a proxy whose traps throw': () => new Proxy({}, { get: trap, ownKeys: trap, has: trap, getPrototypeOf: trap, getOwnPropertyDescriptor: trap }),
  'a revoked proxy': () => revoked({}),
  'a symbol': () => Symbol(secret),
  'a function': () => () => secret
}

t.test('fails the stream of a value that cannot be written, and no other', async t => {
  const { app, logs } = await createLogged(t)
  const gate = deferred()
  app.mediator.addHandler(Anything, async function * ({ value }) {
    const [kind, when] = value.split(':') as [string, string]
    if (kind === 'good') {
      yield 1
      await gate.promise
      return 2
    }
    if (when !== 'first') yield 1
    if (when === 'result') return unwritable[kind]!()
    yield unwritable[kind]!()
    return 2
  })
  app.route(commandRoute(Anything, { url: '/anything' }))
  const port = await listen(app)
  const bystanders = ['text/event-stream', 'application/x-ndjson'].map(accept => {
    const client = new RawClient(port)
    client.request('POST', '/anything', { body: { value: 'good:' }, headers: { accept } })
    return client
  })
  for (const client of bystanders) await client.until('data')
  for (const kind of Object.keys(unwritable)) {
    for (const when of ['first', 'progress', 'result']) {
      for (const accept of ['text/event-stream', 'application/x-ndjson', 'application/json']) {
        // Progress is dropped there.
        if (accept === 'application/json' && when !== 'result') continue
        logs.length = 0
        const response = await app.inject({ method: 'POST', url: '/anything', payload: { value: `${kind}:${when}` }, headers: { accept } })
        const begun = when !== 'first' && accept !== 'application/json'
        const problem = begun ? readFrames(response.body).at(-1)!.data : response.json()
        const what = `${kind} as ${when} of ${accept}`
        // JavaScript awaits what is yielded or returned, and reads `then`: with these the handler itself fails.
        const code = kind.includes('proxy') ? 'INTERNAL_SERVER_ERROR' : 'MEDIATOR_ERR_INVALID_OUTPUT'
        t.match(problem, { status: 500, code, detail: undefined }, what)
        t.equal(response.statusCode, begun ? 200 : 500, what)
        t.notMatch(response.body, secret)
        t.ok(logs.some(({ level, streamId }) => level === 50 && streamId === problem.instance), what)
      }
    }
  }
  t.equal(app.mediator.stats().streams, 2)
  gate.resolve()
  for (const client of bystanders) {
    await client.until('complete')
    client.socket.destroy()
  }
})

t.test('writes what a client sends into one line of the log', async t => {
  const { app, texts } = await createLogged(t)
  app.mediator.addHandler(Anything, async ({ value }, { log }) => {
    log.info(value)
    throw failing({ statusCode: 404 }, value)
  })
  app.route(commandRoute(Anything, { url: '/anything', owner: request => String(request.headers['x-owner']) }))
  app.route(commandRoute(Anything, { url: '/anything', method: 'GET' }))
  const forged = 'x\r\n{"level":50,"msg":"forged"}\n\u2028\u0085\u0000\u001b[2J'
  const port = await listen(app)
  await app.inject({ method: 'POST', url: '/anything', payload: { value: forged } })
  await app.inject({ method: 'POST', url: '/anything', payload: { value: 1, [forged]: forged } })
  await app.inject(`/anything?value=${encodeURIComponent(forged)}&lastEventId=${encodeURIComponent(forged)}`)
  const client = new RawClient(port)
  client.request('POST', `/anything?${encodeURIComponent(forged)}`, { body: { value: forged }, headers: { 'x-owner': 'a\u0085\u001b[2J', 'last-event-id': '\u001b[2J' } })
  await client.until('\r\n\r\n')
  client.socket.destroy()
  await once(client.socket, 'close')
  t.ok(texts.length > 8)
  for (const text of texts) {
    // eslint-disable-next-line no-control-regex
    t.notMatch(text.slice(0, -1), /[\u0000-\u001f]/)
    t.not(JSON.parse(text).msg, 'forged')
  }
})

t.test('tells every kind of client of a deadline, and logs it as no error', async t => {
  const { app, logs } = await createLogged(t, { maxStreamMs: 100 })
  app.mediator.addHandler(Count, async (_input, { signal }) => {
    await once(signal, 'abort')
    return { total: 1 }
  })
  app.route(commandRoute(Count, { url: '/waiting' }))
  app.route(commandRoute(Count, { url: '/streaming', commitAfterMs: 0 }))
  // The timer of a deadline does not keep a process alive; a server does.
  await listen(app)
  const send = async (url: string, accept: string) => await app.inject({ method: 'POST', url, payload: { to: 1 }, headers: { accept } })
  const deadline = { status: 504, code: 'MEDIATOR_ERR_DEADLINE', retryable: false, detail: undefined }
  for (const accept of ['text/event-stream', 'application/json']) t.match((await send('/waiting', accept)).json(), deadline)
  for (const accept of ['text/event-stream', 'application/x-ndjson']) t.match(readFrames((await send('/streaming', accept)).body).at(-1), { event: 'failed', data: deadline })
  t.strictSame(logs.filter(({ level }) => level >= 40), [])
})
