import type { IncomingMessage, ServerResponse } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import { createClient } from '../../lib/client/index.js'
import type { Client, ClientError, ClientOptions, ClientStream } from '../../lib/client/index.js'
import type { Count } from '../support/app.js'
import { HostileServer, beginStream, frame, startFrame, streamId } from './hostile-server.js'

const setLater = globalThis.setTimeout
type Counting = Client<{ count: typeof Count }>

const input = { to: 2, label: 'n' }
const fast = { attempts: 4, delayMs: 5, maxDelayMs: 20, minDelayMs: 5 }

async function createSubject (
  t: Test, answer: (request: IncomingMessage, response: ServerResponse, count: number) => unknown, options: Partial<ClientOptions> = {}
): Promise<{ server: HostileServer, client: Counting }> {
  const server = await new HostileServer().start(t, answer)
  return { server, client: createClient({ baseUrl: server.url, reconnect: fast, ...options }) }
}

interface Seen {
  readonly all: unknown[]
  readonly error: ClientError | undefined
  readonly result: unknown
}

async function read (stream: ClientStream<unknown, unknown>): Promise<Seen> {
  const all: unknown[] = []
  try {
    for await (const progress of stream) all.push(progress)
    return { all, error: undefined, result: await stream.result }
  } catch (error) {
    return { all, error: error as ClientError, result: undefined }
  }
}

t.test('a server that answers 503 for ever is asked some times, slower and slower, and given up', async t => {
  const { server, client } = await createSubject(t, (_request, response) => response.writeHead(503).end('<h1>Away</h1>'), { reconnect: { ...fast, minDelayMs: 20 } })
  const stream = client.attach(`/streams/${streamId}`)
  const delays: number[] = []
  stream.onReconnect = ({ delayMs }) => delays.push(delayMs)
  t.match(await read(stream), { all: [], error: { kind: 'truncated', code: 'CLIENT_ERR_HTTP', retryable: true, problem: { status: 503 } } })
  t.equal(server.requests.length, 5)
  t.equal(delays.length, 4)
  // Timers may be a millisecond early.
  t.ok(server.shortestPause > 15, `${server.shortestPause} ms`)
  t.equal(stream.state, 'truncated')
})

t.test('a POST without a key is not sent again, whatever the answer', async t => {
  for (const status of [429, 500, 502, 503, 504]) {
    const { server, client } = await createSubject(t, (_request, response) => response.writeHead(status).end())
    t.match(await read(client.stream('count', input)), { error: { kind: 'truncated', code: 'CLIENT_ERR_HTTP', retryable: false, problem: { status } } })
    t.match(await client.send('count', input).catch(error => error), { kind: 'truncated', problem: { status } })
    t.equal(server.requests.length, 2)
  }
})

t.test('Retry-After is waited for, in seconds and as a date, and not for longer than some minutes', async t => {
  // What is left of a minute: less than two of it pass on any machine, and nobody waits for it.
  const inAMinute = await createSubject(t, (_request, response) => response.writeHead(429, { 'retry-after': new Date(Date.now() + 60_000).toUTCString() }).end())
  const controller = new AbortController()
  const waiting = inAMinute.client.attach(`/streams/${streamId}`, { signal: controller.signal })
  waiting.onReconnect = ({ delayMs, error }) => controller.abort([delayMs, error.retryAfterMs])
  const [delayMs, retryAfterMs] = (await read(waiting)).error as unknown as [number, number]
  t.ok(delayMs > 30_000 && delayMs <= 60_000, `${delayMs} ms`)
  t.equal(delayMs, retryAfterMs)

  const { client, server } = await createSubject(t, (_request, response, count) => {
    if (count === 1) response.writeHead(503, { 'retry-after': '1' }).end()
    else if (count === 2) response.writeHead(503, { 'retry-after': 'soon' }).end()
    else response.writeHead(503, { 'retry-after': '301' }).end()
  })
  const stream = client.attach(`/streams/${streamId}`)
  const delays: number[] = []
  stream.onReconnect = ({ delayMs }) => delays.push(delayMs)
  t.match(await read(stream), { error: { retryAfterMs: 301_000 } })
  t.equal(delays[0], 1_000)
  t.ok(delays[1]! <= 20, `${delays[1]} ms`)
  t.equal(server.requests.length, 3)
})

t.test('retry: 0 and streams that end at once make no hot loop', async t => {
  const { server, client } = await createSubject(t, (_request, response) => {
    beginStream(response)
    response.end(startFrame({}, 0))
  }, { reconnect: { attempts: 5 } })
  const { error } = await read(client.stream('count', input))
  t.match(error, { kind: 'truncated', code: 'CLIENT_ERR_TRUNCATED', retryable: true })
  t.equal(server.requests.length, 6)
  t.ok(server.shortestPause > 90, `${server.shortestPause} ms, by the default floor`)
})

t.test('a query that begins again and again, and tells nothing, is given up', async t => {
  const ids = ['Zk3vQx0bT2mYw9LhR4sD1A', 'AAAAAAAAAAAAAAAAAAAAAA']
  for (const tells of [false, true]) {
    const { server, client } = await createSubject(t, (_request, response, count) => {
      const id = ids[count % 2]!
      const progress = tells && count < 8 ? frame('progress', `${id}.2`, count) : ''
      streamOf(response, frame('start', `${id}.1`, { streamId: id, attempt: 1 }) + progress)
    })
    const { all, error } = await read(client.stream('count', input, { method: 'GET' }))
    t.match(error, { kind: 'truncated', code: 'CLIENT_ERR_TRUNCATED' })
    t.strictSame(all, tells ? [1, 2, 3, 4, 5, 6, 7] : [])
    t.equal(server.requests.length, tells ? 11 : 5, 'new progress counts from the start')
  }
})

t.test('a refusal that says it would be the same again is final, whatever its status', async t => {
  for (const status of [429, 502, 503, 504]) {
    for (const [retryable, requests] of [[false, 1], [true, 2], [undefined, 2]] as const) {
      const { server, client } = await createSubject(t, (_request, response) => {
        response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ status, code: 'BUSY', retryable }))
      }, { reconnect: { ...fast, attempts: 1 } })
      t.match(await read(client.stream('count', input, { idempotencyKey: 'key' })), { error: { kind: 'failed', code: 'BUSY', retryable: retryable !== false } })
      t.equal(server.requests.length, requests, `${status} ${retryable}`)
    }
  }
})

t.test('an answer that is JSON is waited for as long as it takes, also after a reconnect', async t => {
  const { server, client } = await createSubject(t, (_request, response, count) => {
    if (count === 1) response.destroy()
    else {
      t.strictSame(timers, [], 'nothing would end it')
      response.end('{"total":2}')
    }
  })
  // Only those of the client are as long as that.
  const timers: number[] = []
  t.intercept(globalThis, 'setTimeout', {
    value: (...args: Parameters<typeof setLater>) => {
      if (args[1]! >= 45_000) timers.push(args[1]!)
      return setLater(...args)
    }
  })
  t.strictSame(await client.send('count', input, { idempotencyKey: 'key' }), { total: 2 })
  t.equal(server.requests.length, 2)
})

t.test('a cancel on a line that is dead ends after three heartbeats, and says so', async t => {
  const { server, client } = await createSubject(t, ({ method }, response) => {
    if (method === 'DELETE') return
    beginStream(response)
    response.write(startFrame({ heartbeatMs: 100 }) + frame('progress', `${streamId}.2`, 1))
    const beats = setInterval(() => response.write(':\n\n'), 20)
    response.on('close', () => clearInterval(beats))
  })
  const stream = client.stream('count', input)
  const seen = read(stream)
  await new Promise<void>(resolve => { stream.onStateChange = state => { if (state === 'open') resolve() } })
  while (stream.url === undefined) await new Promise(resolve => setImmediate(resolve))
  await stream.cancel()
  t.match(await seen, { error: { kind: 'cancelled', code: 'CLIENT_ERR_CANCELLED', cause: { code: 'CLIENT_ERR_TIMEOUT' } } })
  t.equal(server.requests[1]!.method, 'DELETE')
})

t.test('a huge retry and a huge heartbeat do not make the client wait for ever', async t => {
  const { client } = await createSubject(t, (_request, response, count) => {
    beginStream(response)
    if (count === 1) response.end(startFrame({ heartbeatMs: 1e12 }, 1e15))
    // Later than a timer fires that was set for too long.
    else setTimeout(() => response.end(frame('complete', `${streamId}.2.end`, null)), 50)
  })
  const stream = client.stream('count', input)
  let delay = 0
  stream.onReconnect = ({ delayMs }) => { delay = delayMs }
  t.match(await read(stream), { error: undefined, result: null })
  t.ok(delay <= 20)
})

t.test('a line of a gibibyte is refused after the limit, and its connection is closed', { timeout: 60_000 }, async t => {
  let sent = 0
  let closed: Promise<void> | undefined
  const { client } = await createSubject(t, async (_request, response) => {
    beginStream(response)
    response.write(`${startFrame()}data: `)
    const chunk = Buffer.alloc(65_536, 'x')
    closed = new Promise(resolve => response.on('close', resolve))
    for (; !response.destroyed && sent < 2 ** 30; sent += chunk.length) {
      if (!response.write(chunk)) await Promise.race([new Promise(resolve => response.once('drain', resolve)), closed])
    }
    response.end()
  })
  const before = process.memoryUsage().rss
  t.match(await read(client.stream('count', input)), { all: [], error: { kind: 'truncated', code: 'CLIENT_ERR_TOO_LARGE', retryable: false } })
  await closed
  t.ok(sent < 64 * 2 ** 20, `${sent} bytes were sent`)
  const grown = (process.memoryUsage().rss - before) / 2 ** 20
  t.ok(grown < 100, `${grown} MiB more`)
})

t.test('an answer that is too large is refused, whatever it is', async t => {
  const { client } = await createSubject(t, (request, response) => {
    response.writeHead(request.headers.accept === 'application/json' ? 200 : 400, { 'content-type': 'application/json' })
    response.end(JSON.stringify('x'.repeat(5_000)))
  }, { maxEventLength: 1_000 })
  await t.rejects(client.send('count', input), { kind: 'truncated', code: 'CLIENT_ERR_TOO_LARGE' })
  t.match(await read(client.stream('count', input)), { error: { code: 'CLIENT_ERR_HTTP', problem: { status: 400 } } })
})

t.test('a redirect is not followed, and takes no headers to another origin', async t => {
  const other = await new HostileServer().start(t, (_request, response) => response.end())
  for (const status of [301, 302, 303, 307, 308]) {
    const { server, client } = await createSubject(t, (_request, response) => response.writeHead(status, { location: `${other.url}/count` }).end(), { headers: { authorization: 'Bearer secret' } })
    t.match(await read(client.stream('count', input)), { error: { kind: 'truncated', code: 'CLIENT_ERR_HTTP', problem: { status } } })
    t.equal(server.requests[0]!.headers.authorization, 'Bearer secret')
    t.equal(server.requests.length, 1)
  }
  t.strictSame(other.requests, [])
})

t.test('a url of another origin in the start frame is not asked', async t => {
  const other = await new HostileServer().start(t, (_request, response) => response.end())
  for (const url of [`${other.url}/x`, `//${other.url.slice(7)}/x`, `/\\${other.url.slice(7)}`, 'javascript:0', 'http://[', 7, null, ['/']]) {
    const { server, client } = await createSubject(t, (_request, response) => {
      beginStream(response)
      response.end(startFrame({ url }))
    })
    t.match(await read(client.stream('count', input)), { error: { kind: 'truncated', code: 'CLIENT_ERR_TRUNCATED' } }, String(url))
    t.ok(server.requests.length >= 1)
  }
  t.strictSame(other.requests, [])
})

t.test('ids that are no ids of the protocol are passed over, and never resumed after', async t => {
  for (const id of ['\u{1f600}', '', 'x', `${streamId}.0x1`, `${streamId}.1 `, `${streamId}.1.fin`, `${streamId}.9999999999999999`]) {
    const { server, client } = await createSubject(t, (_request, response) => {
      beginStream(response)
      response.end(startFrame({}, undefined, id) + frame('progress', id, { n: 1 }) + frame('progress', id, { n: 2 }))
    })
    t.match(await read(client.stream('count', input)), { all: [{ n: 1 }, { n: 2 }], error: { kind: 'truncated', code: 'CLIENT_ERR_TRUNCATED', retryable: false } }, id)
    t.equal(server.requests.length, 1)
  }
  const { client } = await createSubject(t, (_request, response) => {
    beginStream(response)
    response.end(startFrame({}, undefined, '\u{1f600}') + frame('progress', '\u{1f600}', { n: 1 }) + frame('complete', '\u{1f600}', { total: 1 }))
  })
  t.match(await read(client.stream('count', input)), { all: [{ n: 1 }], result: { total: 1 } })
})

t.test('frames that come again are dropped, and a frame that is missing is told', async t => {
  const { client } = await createSubject(t, (_request, response, count) => {
    beginStream(response)
    const frames = [startFrame(), frame('progress', `${streamId}.2`, { n: 1 }), frame('progress', `${streamId}.3`, { n: 2 }), frame('complete', `${streamId}.4.end`, null)]
    response.end(count === 1 ? frames.slice(0, 2).join('') : frames.join(''))
  })
  t.match(await read(client.stream('count', input)), { all: [{ n: 1 }, { n: 2 }], error: undefined, result: null })

  const gap = await createSubject(t, (_request, response) => {
    beginStream(response)
    response.end(startFrame() + frame('progress', `${streamId}.3`, { n: 2 }))
  })
  t.match(await read(gap.client.stream('count', input)), { all: [], error: { kind: 'truncated', code: 'CLIENT_ERR_GAP', retryable: false } })
})

t.test('attempts that bring a new frame are not counted', async t => {
  const { server, client } = await createSubject(t, (_request, response, count) => {
    streamOf(response, count === 1 ? startFrame() : count < 9 ? frame('progress', `${streamId}.${count}`, count) : frame('complete', `${streamId}.9.end`, null))
  }, { reconnect: { ...fast, attempts: 1 } })
  t.match(await read(client.stream('count', input)), { all: [2, 3, 4, 5, 6, 7, 8], error: undefined })
  t.equal(server.requests.length, 9)
})

t.test('a stream that repeats itself for ever is given up', async t => {
  const { server, client } = await createSubject(t, (_request, response) => {
    beginStream(response)
    response.end(startFrame() + frame('progress', `${streamId}.2`, { n: 1 }))
  })
  t.match(await read(client.stream('count', input)), { all: [{ n: 1 }], error: { kind: 'truncated', retryable: true } })
  t.equal(server.requests.length, 5)
})

t.test('what the protocol does not know is told, and ends the stream', async t => {
  const answers: Array<[name: string, answer: (response: ServerResponse) => unknown]> = [
    ['another type', response => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>')],
    ['no type', response => response.writeHead(200).end()],
    ['204', response => response.writeHead(204).end()],
    ['205', response => response.writeHead(205, { 'content-type': 'text/event-stream' }).end()],
    ['data that is no JSON', response => streamOf(response, `event: start\nid: ${streamId}.1\ndata: {"\n\n`)],
    ['no start', response => streamOf(response, frame('progress', undefined, 1))],
    ['no start, with an id', response => streamOf(response, frame('progress', `${streamId}.1`, 1))],
    ['the envelope framing', response => streamOf(response, `id: ${streamId}.1\ndata: {"type":"start"}\n\n`)],
    ['a frame of another stream', response => streamOf(response, startFrame() + frame('progress', 'AAAAAAAAAAAAAAAAAAAAAA.2', 1))],
    ['another start', response => streamOf(response, startFrame() + startFrame({}, undefined, 'AAAAAAAAAAAAAAAAAAAAAA.1'))]
  ]
  for (const [name, answer] of answers) {
    const { server, client } = await createSubject(t, (_request, response) => answer(response))
    const { all, error } = await read(client.stream('count', input))
    t.match({ all, error }, { all: [], error: { kind: 'truncated', code: 'CLIENT_ERR_PROTOCOL', retryable: false } }, name)
    t.equal(server.requests.length, 1, name)
  }
})

t.test('whatever JSON a server sends, the client does not crash', async t => {
  for (const data of [null, 0, '', [], {}, { code: 5, detail: {}, title: [] }, { streamId: {}, url: {}, heartbeatMs: 'x', attempt: {} }]) {
    const failing = await createSubject(t, (_request, response) => streamOf(response, startFrame() + frame('failed', `${streamId}.2.end`, data)))
    t.match(await read(failing.client.stream('count', input)), { error: { kind: 'failed' } })
    const refusing = await createSubject(t, (_request, response) => response.writeHead(400).end(JSON.stringify(data)))
    t.match(await read(refusing.client.stream('count', input)), { error: { problem: { status: 400 } } })
    const starting = await createSubject(t, (_request, response) => streamOf(response, frame('start', `${streamId}.1`, data) + frame('complete', `${streamId}.2.end`, data)))
    t.strictSame((await read(starting.client.stream('count', input))).result, data)
  }
})

t.test('a last frame without an id ends the answer and not the stream', async t => {
  const problem = { type: 'about:blank', title: 'Gone', status: 410, code: 'MEDIATOR_ERR_LOG_GAP', retryable: false }
  const { client } = await createSubject(t, (_request, response) => streamOf(response, startFrame() + frame('failed', undefined, problem)))
  t.match(await read(client.stream('count', input)), { error: { kind: 'truncated', code: 'MEDIATOR_ERR_LOG_GAP', message: 'Gone', problem } })
})

t.test('a server that falls silent is left after three heartbeats, and asked again', async t => {
  const { server, client } = await createSubject(t, (_request, response, count) => {
    beginStream(response)
    if (count === 1) response.write(startFrame({ heartbeatMs: 300 }))
    else response.end(frame('complete', `${streamId}.2.end`, { total: 0 }))
  })
  const stream = client.stream('count', input)
  const codes: string[] = []
  stream.onReconnect = ({ error }) => codes.push(error.code)
  t.match(await read(stream), { result: { total: 0 } })
  t.strictSame(codes, ['CLIENT_ERR_TIMEOUT'])
  t.equal(server.requests[1]!.headers['last-event-id'], `${streamId}.1`)
  t.ok(server.shortestPause > 880, `${server.shortestPause} ms`)
})

t.test('heartbeats keep a stream', async t => {
  const { server, client } = await createSubject(t, (_request, response) => {
    beginStream(response)
    response.write(startFrame({ heartbeatMs: 500 }))
    let beats = 0
    const timer = setInterval(() => {
      response.write(':\n\n')
      if (++beats < 16) return
      clearInterval(timer)
      response.end(frame('complete', `${streamId}.2.end`, { total: 0 }))
    }, 100)
  })
  t.match(await read(client.stream('count', input)), { result: { total: 0 } })
  t.equal(server.requests.length, 1)
})

t.test('an attempt of the server begins again, and is told', async t => {
  const { client } = await createSubject(t, (_request, response) => streamOf(response, startFrame() + frame('progress', `${streamId}.2`, 1) +
    startFrame({ attempt: 2 }, undefined, `${streamId}.3-2`) + frame('progress', `${streamId}.4-2`, 1) + frame('complete', `${streamId}.5-2.end`, null)))
  const stream = client.stream('count', input)
  const attempts: number[] = []
  for await (const progress of stream) attempts.push(stream.attempt * Number(progress))
  t.strictSame(attempts, [1, 2])
})

t.test('a stream that is cut after each of its bytes is read whole, and nothing comes twice', { timeout: 60_000 }, async t => {
  const frames = [startFrame(), frame('progress', `${streamId}.2`, { text: '\u{1f600}' }), ':\n\n', frame('progress', `${streamId}.3`, { text: 'b' }), frame('complete', `${streamId}.4.end`, { total: 2 })]
  const whole = Buffer.from(frames.join(''))
  // The first answer is cut, the second is what comes after the id.
  const { server } = await createSubject(t, (request, response) => {
    if (request.method === 'POST') {
      beginStream(response)
      response.write(whole.subarray(0, Number(request.headers['x-cut'])), () => response.destroy())
    } else {
      const seen = Number(/\.(\d+)/.exec(String(request.headers['last-event-id']))?.[1])
      streamOf(response, frames.slice(seen === 1 ? 1 : seen === 2 ? 3 : 4).join(''))
    }
  })
  const firstFrame = Buffer.byteLength(frames[0]!)
  let resumed = 0
  await Promise.all(Array.from({ length: whole.length + 1 }, async (_, cut) => {
    const own: Counting = createClient({ baseUrl: server.url, reconnect: fast, headers: { 'x-cut': String(cut) } })
    const seen = await read(own.stream('count', input))
    if (cut < firstFrame) {
      if (seen.error?.kind !== 'truncated' || seen.all.length > 0) t.fail(`cut after ${cut}: ${JSON.stringify(seen)}`)
      return
    }
    resumed++
    if (JSON.stringify(seen) !== JSON.stringify({ all: [{ text: '\u{1f600}' }, { text: 'b' }], result: { total: 2 } })) t.fail(`cut after ${cut}: ${JSON.stringify(seen)}`)
  }))
  t.equal(resumed, whole.length + 1 - firstFrame)
})

t.test('the client reads no further ahead than its reader', async t => {
  let written = 0
  const { client } = await createSubject(t, async (_request, response) => {
    beginStream(response)
    response.write(startFrame())
    for (let seq = 2; seq < 20_000; seq++) {
      const text = frame('progress', `${streamId}.${seq}`, 'x'.repeat(2_000))
      written += text.length
      if (!response.write(text)) await Promise.race([new Promise(resolve => response.once('drain', resolve)), new Promise(resolve => response.once('close', resolve))])
      if (response.destroyed) return
    }
  })
  const frames = client.stream('count', input)[Symbol.asyncIterator]()
  await frames.next()
  // Until the socket takes no more.
  for (let before = -1; before !== written;) {
    before = written
    await new Promise(resolve => setTimeout(resolve, 200))
  }
  t.ok(written < 20 * 2 ** 20, `${written} bytes of 40 MB`)
  await frames.return!()
})

t.test('a cancel ends every wait: for headers, for an answer, for a frame and for the next attempt', async t => {
  const waits: Array<[name: string, options: Partial<ClientOptions>, answer: (response: ServerResponse, done: () => void) => unknown]> = [
    ['headers', {}, () => t.fail('nothing is sent')],
    ['answer', {}, (_response, done) => done()],
    ['frame', {}, (response, done) => { beginStream(response); response.write(startFrame({ url: undefined }), () => done()) }],
    ['attempt', { reconnect: { delayMs: 60_000, maxDelayMs: 60_000 } }, response => response.writeHead(503).end()]
  ]
  for (const [name, options, answer] of waits) {
    let reached!: () => void
    const waiting = new Promise<void>(resolve => { reached = resolve })
    const { client, server } = await createSubject(t, (_request, response) => answer(response, reached), {
      ...options,
      ...(name === 'headers' && { headers: async () => await new Promise<Record<string, string>>(() => reached()) })
    })
    const stream = client.stream('count', input, { method: 'GET' })
    stream.onReconnect = () => reached()
    const seen = read(stream)
    await waiting
    await stream.cancel()
    t.match(await seen, { error: { kind: 'cancelled', code: 'CLIENT_ERR_CANCELLED' } }, name)
    t.equal(stream.state, 'cancelled')
    t.equal(server.requests.length, name === 'headers' ? 0 : 1)
  }
})

t.test('a fetch that does not know signals is left all the same', async t => {
  const { client } = await createSubject(t, () => {}, { fetch: async () => await new Promise(() => {}) })
  const controller = new AbortController()
  const seen = read(client.stream('count', input, { signal: controller.signal }))
  setImmediate(() => controller.abort('enough'))
  t.equal((await seen).error, 'enough')
})

t.test('nothing is left of a stream that has ended: no timer, no listener and no connection', async t => {
  const { client } = await createSubject(t, (_request, response) => {
    beginStream(response)
    response.write(startFrame() + frame('progress', `${streamId}.2`, 1))
  })
  const controller = new AbortController()
  const { signal } = controller
  let listeners = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  Object.assign(signal, {
    addEventListener: (...args: Parameters<typeof add>) => { listeners++; add(...args) },
    removeEventListener: (...args: Parameters<typeof remove>) => { listeners--; remove(...args) }
  })
  const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timers()
  for (let run = 0; run < 20; run++) {
    for await (const progress of client.stream('count', input, { signal })) if (progress) break
  }
  t.equal(listeners, 0)
  t.ok(timers() <= before + 1, `${before} timers before, ${timers()} after`)
})

function streamOf (response: ServerResponse, text: string): void {
  beginStream(response)
  response.end(text)
}
