import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import type { ChatOptions } from '../../example-app/chat/plugin.js'
import { readFrames } from '../../lib/testing/index.js'
import { namesOf } from '../support/frames.js'
import { RawClient } from '../support/raw-client.js'
import { FakeModel, begin, ending, secret, token } from './fake-model.js'
import { RunningApp, exampleFiles } from './running-app.js'

const apps: RunningApp[] = []
const hello = { messages: [{ role: 'user', content: 'Hello' }] }

async function start (t: Test, answer: (response: ServerResponse) => void, options: ChatOptions = {}) {
  const model = await new FakeModel().start(t, answer)
  const app = await new RunningApp().start(t, exampleFiles, { chat: { upstream: model.upstream, ...options } })
  apps.push(app)
  return { app, model }
}

/** Resolves with the answer of the model's server, once it is asked for, and the rest. */
async function startHeld (t: Test, options: ChatOptions = {}) {
  let hold: (response: ServerResponse) => void
  const asked = new Promise<ServerResponse>(resolve => { hold = resolve })
  return { asked, ...await start(t, response => hold(response), options) }
}

async function ask (app: RunningApp, path = '/commands/chat'): Promise<RawClient> {
  const client = new RawClient(app.port)
  await once(client.socket, 'connect')
  client.request('POST', path, { body: hello })
  return client
}

t.test('asks the model in its words, and tells its answer, its reason and its usage', async t => {
  const { app, model } = await start(t, response => {
    begin(response)
    // Cut in the middle of a character and of a line.
    const bytes = Buffer.from(`: comment\n\n${token('Grüße')}${token(' 😀\n')}${ending}`)
    for (const byte of bytes) response.write(Buffer.of(byte))
    response.end()
  })
  const response = await app.post('/commands/chat', hello)
  t.equal(response.status, 200)
  const frames = readFrames(await response.text())
  t.same(frames.slice(1).map(({ event, data }) => [event, data]), [
    ['token', { text: 'Grüße' }],
    ['token', { text: ' 😀\n' }],
    ['complete', { finishReason: 'stop', usage: { promptTokens: 3, completionTokens: 2 } }]
  ])
  t.equal(model.requests.length, 1)
  t.match(model.requests[0], {
    url: '/v1/chat/completions',
    headers: { authorization: `Bearer ${secret}`, accept: 'text/event-stream' },
    body: { model: 'fake-1', stream: true, messages: hello.messages }
  })
})

t.test('hands on each token when it comes', async t => {
  const { app, asked } = await startHeld(t)
  const client = await ask(app)
  const response = await asked
  begin(response)
  for (const word of ['one', 'two', 'three']) {
    // The next one is not sent before this has arrived.
    response.write(token(word))
    await client.until(`data: {"text":"${word}"}`)
    t.notMatch(client.text, 'event: complete')
  }
  response.end(ending)
  await client.until('event: complete')
})

t.test('leaves the model when its reader leaves: in an answer, and before its first token', async t => {
  for (const words of [['one'], []]) {
    const { app, asked } = await startHeld(t)
    const client = await ask(app)
    const response = await asked
    if (words.length > 0) {
      begin(response)
      response.write(token('one'))
      await client.until('one')
    }
    client.socket.resetAndDestroy()
    await once(response, 'close')
    t.equal(response.writableFinished, false)
    t.match(await app.logged('stream ended'), { command: 'chat', reason: 'client-closed' })
  }
})

t.test('an answer that is kept goes on without its reader for a while, is read on, and is cancelled', async t => {
  const { app, asked } = await startHeld(t, { graceMs: 60_000 })
  const client = await ask(app, '/jobs/chat')
  const response = await asked
  begin(response)
  response.write(token('one'))
  await client.until('one')
  const url = /"url":"([^"]+)"/.exec(client.text)![1]!
  client.socket.resetAndDestroy()
  await once(client.socket, 'close')
  response.write(token('two'))
  const again = new RawClient(app.port)
  again.request('GET', url)
  await again.until('two')
  t.match(again.text, '"text":"one"')
  const left = once(response, 'close')
  t.ok((await fetch(app.url + url, { method: 'DELETE' })).ok)
  await left
  await again.until('event: failed')
  t.match(again.text, '"code":"MEDIATOR_ERR_CANCELLED"')
  again.socket.destroy()
})

t.test('an answer that is kept ends when nobody has come back for it', async t => {
  const { app, asked } = await startHeld(t, { graceMs: 1 })
  const client = await ask(app, '/jobs/chat')
  const response = await asked
  begin(response)
  response.write(token('one'))
  await client.until('one')
  client.socket.resetAndDestroy()
  await once(response, 'close')
  t.match(await app.logged('stream ended'), { reason: 'abandoned' })
})

t.test('a refusal of the model is a status, and nothing of its text is told', async t => {
  let refuse = (_response: ServerResponse): void => {}
  const { app } = await start(t, response => refuse(response))
  for (const [status, headers, expected] of [
    [400, {}, { status: 500, code: 'INTERNAL_SERVER_ERROR', retryable: false }],
    [401, {}, { status: 500, code: 'INTERNAL_SERVER_ERROR', retryable: false }],
    [302, { location: 'http://127.0.0.1:1/' }, { status: 500, retryable: false }],
    [429, { 'retry-after': '17' }, { status: 429, code: 'EXAMPLE_ERR_CHAT_BUSY', retryable: true, retryAfter: '17' }],
    [429, { 'retry-after': '999999' }, { status: 429, retryAfter: '3600' }],
    [429, { 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, { status: 429, retryAfter: /^[1-5]$/ }],
    [429, {}, { status: 429, retryAfter: /^[1-5]$/ }],
    [500, {}, { status: 502, code: 'BAD_GATEWAY' }],
    [503, {}, { status: 503, retryable: true }],
    [200, { 'content-type': 'application/json' }, { status: 500 }]
  ] as const) {
    refuse = response => response.writeHead(status, headers).end(JSON.stringify({ error: { message: `Incorrect API key provided: ${secret}` } }))
    for (const path of ['/commands/chat', '/jobs/chat']) {
      const response = await app.post(path, hello)
      const body = await response.text()
      t.match({ ...JSON.parse(body), retryAfter: response.headers.get('retry-after') }, expected, `${status} ${path}`)
      t.equal(response.status, expected.status)
      t.match(response.headers.get('content-type'), /^application\/problem\+json/)
      t.notMatch(body, 'sk-')
    }
  }
})

t.test('an answer that breaks fails: by a status before its first token, by the last frame after it', async t => {
  let answer = (_response: ServerResponse): void => {}
  const { app } = await start(t, response => answer(response))
  const deep = `${'['.repeat(10_000)}${']'.repeat(10_000)}`
  for (const [broken, kind] of [
    [(response: ServerResponse) => response.end(), 'ends at once'],
    [(response: ServerResponse) => response.end(token('x').slice(0, -10)), 'ends in an event'],
    [(response: ServerResponse) => response.destroy(), 'is cut'],
    [(response: ServerResponse) => response.end('data: {"error":{"message":"overloaded","code":500}}\n\n'), 'holds an error'],
    [(response: ServerResponse) => response.end('data: nonsense\n\n'), 'is no JSON'],
    [(response: ServerResponse) => response.end(`data: ${deep}\n\n`), 'is deep'],
    [(response: ServerResponse) => response.end('data: null\n\n'), 'is null'],
    [(response: ServerResponse) => response.end('data: {"choices":[{"delta":{"content":{"text":"x"}}}]}\n\n'), 'has another shape'],
    [(response: ServerResponse) => response.end(`data: ${'x'.repeat(200_000)}`), 'has no end of a line']
  ] as const) {
    for (const first of ['', token('one')]) {
      answer = response => {
        begin(response)
        response.write(first)
        // What breaks has its token out first.
        setImmediate(() => broken(response))
      }
      const response = await app.post('/commands/chat', hello)
      const body = await response.text()
      if (first === '') t.equal(response.status, 502, kind)
      else {
        const frames = readFrames(body)
        t.equal(frames.at(-1)!.event, 'failed', kind)
        t.match(frames.at(-1)!.data, { status: 502, code: 'BAD_GATEWAY' }, kind)
      }
      t.notMatch(body, 'overloaded')
    }
  }
})

t.test('does not wait for ever: not for a server that is silent, not for an answer without end, not for one that is not there', async t => {
  const silent = await start(t, () => {}, { silenceMs: 50 })
  t.equal((await silent.app.post('/commands/chat', hello)).status, 504)

  const paused = await start(t, response => {
    begin(response)
    response.write(token('one'))
  }, { silenceMs: 50 })
  const frames = readFrames(await (await paused.app.post('/commands/chat', hello)).text())
  t.same(namesOf(frames), ['start', 'token', 'failed'])
  t.match(frames.at(-1)!.data, { status: 504, code: 'GATEWAY_TIMEOUT' })

  const endless = await start(t, response => {
    begin(response)
    const timer = setInterval(() => response.write(': still here\n\n'), 5)
    response.on('close', () => clearInterval(timer))
  }, { deadlineMs: 100 })
  t.equal((await endless.app.post('/commands/chat', hello)).status, 504)

  const gone = await start(t, () => {}, { upstream: { baseUrl: 'http://127.0.0.1:1/v1', apiKey: secret, model: 'x' } })
  t.equal((await gone.app.post('/commands/chat', hello)).status, 502)
})

t.test('cuts an answer that is too long, and leaves the model', async t => {
  const { app, asked } = await startHeld(t)
  const answer = app.post('/commands/chat', hello)
  const response = await asked
  begin(response)
  for (let n = 0; n < 41; n++) response.write(token('x'.repeat(1_000)))
  const frames = readFrames(await (await answer).text())
  t.same(frames.at(-1)!.data, { finishReason: 'length' })
  t.equal(frames.filter(({ event }) => event === 'token').length, 40)
  if (!response.closed) await once(response, 'close')
})

t.test('refuses what is no conversation, with the field named, and asks nobody', async t => {
  const { app, model } = await start(t, () => {})
  for (const [input, field] of [
    [{}, 'messages'],
    [{ messages: [] }, 'messages'],
    [{ messages: Array(21).fill(hello.messages[0]) }, 'messages'],
    [{ messages: [{ role: 'user', content: '' }] }, 'messages.0.content'],
    [{ messages: [{ role: 'user', content: 'x'.repeat(8_001) }] }, 'messages.0.content'],
    [{ messages: [{ role: 'system', content: 'Obey' }] }, 'messages.0.role'],
    [{ messages: [{ role: 'user', content: 'x', name: 'y' }] }, 'messages.0.name'],
    [{ ...hello, model: 'other' }, 'model']
  ] as const) {
    const response = await app.post('/commands/chat', input)
    t.equal(response.status, 400)
    t.match(await response.json(), { errors: [{ field }] })
  }
  t.equal(model.requests.length, 0)
})

t.test('answers from the docs where there is no model, word by word', async t => {
  const app = await new RunningApp().start(t, exampleFiles, { chat: { offlineTokenMs: 1 } })
  const answers = await Promise.all([
    'What happens to events when a client leaves?', 'What happens to events when a client leaves?', 'Xyzzy?'
  ].map(async content => readFrames(await (await app.post('/commands/chat', { messages: [{ role: 'user', content }] })).text())))
  const texts = answers.map(frames => frames.filter(({ event }) => event === 'token').map(({ data }) => data.text).join(''))
  t.equal(texts[0], texts[1])
  t.match(texts[0], /client.*event|event.*client/i)
  t.ok(texts[0]!.split(' ').length > 20, texts[0]!)
  t.match(texts[2], 'do not speak of that')
  t.match(answers[0]!.at(-1)!.data, { finishReason: 'stop', usage: { promptTokens: 8, completionTokens: answers[0]!.length - 2 } })
})

t.test('no log has the key', async t => {
  const lines = apps.flatMap(({ logs }) => logs.map(line => JSON.stringify(line)))
  t.ok(lines.some(line => line.includes('EXAMPLE_ERR_CHAT_UPSTREAM')), 'what went wrong is there')
  t.same(lines.filter(line => line.includes(secret)), [])
})
