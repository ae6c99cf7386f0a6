import { once } from 'node:events'
import { connect } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import type { Test } from 'tap'
import { createAttackedServer, urlOf } from './attacked-server.js'
import { faultsOf, framesOf, utf8 } from './check-answer.js'
import { exchange } from './http-client.js'
import type { Answer, Request } from './http-client.js'
import { bodies } from './tables/bodies.js'
import { definitions } from './tables/definitions.js'
import { headers, methods } from './tables/headers.js'
import { lastEventIds } from './tables/last-event-ids.js'
import { queries } from './tables/queries.js'
import { headerTexts, texts, urlTexts } from './tables/texts.js'
import { thrown, thrownWithTexts } from './tables/thrown.js'
import { surfaces, values } from './tables/values.js'

const prototype = Reflect.ownKeys(Object.prototype)
const uncaught: unknown[] = []
process.on('uncaughtExceptionMonitor', error => uncaught.push(error))

let inputs = 0
const server = await createAttackedServer(t)
const { port, started } = server

// In the order of what they ask of readers: fields, an envelope, a line.
const formats = [
  ['fields', '', 'text/event-stream'],
  ['an envelope', '/envelope', 'text/event-stream'],
  ['NDJSON', '', 'application/x-ndjson']
] as const

type Frames = ReadonlyArray<readonly [name: string, data: unknown]>

/** One row of a table: the requests that belong to it, and what was wrong. One assertion, so that the report stays readable. */
async function row (t: Test, name: string, check: (fault: (text: string) => void) => Promise<void>): Promise<void> {
  inputs++
  const faults: string[] = []
  try {
    await check(text => faults.push(text))
  } catch (error) {
    faults.push(String(error))
  }
  // tap ends its output at some characters of a title.
  t.strictSame(faults, [], name.replaceAll(/[^ -~]/g, '?').slice(0, 100))
}

/** Sends a request of which a command route answers, and checks what must hold of any answer. */
async function ask (request: Request, fault: (text: string) => void, status: number): Promise<Answer> {
  const answer = await exchange(port, request)
  if (answer.status !== status) fault(`answers ${answer.status}: ${answer.body.toString('latin1', 0, 300)}`)
  // Node refuses what is no HTTP before Fastify has seen it.
  const refusedByNode = [400, 417, 431].includes(answer.status) && !answer.headers.some(([, value]) => value === 'application/problem+json')
  if (refusedByNode && status < 400) fault('is refused by Node')
  if (!refusedByNode) faultsOf(answer).forEach(fault)
  return answer
}

function compareFrames (answer: Answer, expected: Frames, command: string | undefined, fault: (text: string) => void): void {
  const [first, ...frames] = framesOf(answer)
  if (first?.[0] !== 'start' || (command !== undefined && first[1].command !== command)) fault('does not start')
  const seen = frames.map(([name, data]) => name === 'failed' ? ['failed', withoutInstance(data)] : [name, data])
  if (!isDeepStrictEqual(seen, expected)) fault(`has the frames ${JSON.stringify(seen).slice(0, 500)} and not ${JSON.stringify(expected).slice(0, 500)}`)
}

// `type` and `message` are what an envelope takes and adds.
function withoutInstance ({ instance, type, message, ...problem }: Record<string, unknown>): Record<string, unknown> {
  return problem
}

function problemOf ({ body }: Answer): Record<string, unknown> {
  return withoutInstance(JSON.parse(utf8(body)))
}

t.test('no text of a handler leaves the place where it was put', async t => {
  for (const { name, frames } of surfaces) {
    await Promise.all(Object.entries(texts).map(async ([label, text]) => {
      await row(t, `${name}: ${label}`, async fault => {
        for (const [format, prefix, accept] of formats) {
          const path = prefix + urlOf('surface', name)
          const answer = await ask({ path, headers: [['accept', accept]], body: JSON.stringify({ text }) }, fault, statusOf(frames(text)))
          if (answer.status !== 200) {
            if (!isDeepStrictEqual(problemOf(answer), frames(text)[0]![1])) fault(`tells ${answer.body.toString()} as ${format}`)
          } else {
            compareFrames(answer, frames(text), undefined, fault)
          }
        }
      })
    }))
  }
})

// What fails before anything was sent is an HTTP status.
function statusOf ([first]: Frames): number {
  return first![0] === 'failed' ? 500 : 200
}

t.test('a value that JSON has no text for fails its stream alone', async t => {
  for (const [name, , , carried] of values) {
    await row(t, name, async fault => {
      for (const [, prefix, accept] of formats) {
        const answer = await ask({ path: prefix + urlOf('value', name), headers: [['accept', accept]], body: '{}' }, fault, carried === undefined ? 500 : 200)
        if (carried !== undefined) compareFrames(answer, [['progress', carried], ['complete', null]], undefined, fault)
        else if (problemOf(answer)['detail'] !== undefined || answer.body.includes('forged')) fault(`tells ${answer.body.toString()}`)
      }
    })
  }
})

t.test('nothing that a handler throws tells more than it should, before the first frame and after it', async t => {
  const check = async (fault: (text: string) => void, late: string, early: string, body: string, expected: Record<string, unknown>): Promise<void> => {
    for (const [, prefix, accept] of [...formats, ['JSON', '', 'application/json'] as const]) {
      const answer = await ask({ path: prefix + early, headers: [['accept', accept]], body }, fault, Number(expected['status']))
      if (!isDeepStrictEqual(problemOf(answer), expected)) fault(`tells ${answer.body.toString().slice(0, 500)} and not ${JSON.stringify(expected).slice(0, 500)}`)
      if (accept === 'application/json') continue
      compareFrames(await ask({ path: prefix + late, headers: [['accept', accept]], body }, fault, 200), [['progress', null], ['failed', expected]], undefined, fault)
    }
  }
  for (const { name, problem } of thrownWithTexts) {
    await Promise.all(Object.entries(texts).map(async ([label, text]) => {
      await row(t, `${name}: ${label}`, async fault => {
        await check(fault, urlOf('throw-late', name), urlOf('throw', name), JSON.stringify({ text }), problem(text))
      })
    }))
  }
  for (const [index, [name, , problem]] of thrown.entries()) {
    await row(t, name, async fault => await check(fault, '/throw-late', '/throw', JSON.stringify({ row: index }), problem))
  }
})

t.test('no name is made of a text that cannot stand in a frame, a url or a log line', async t => {
  for (const [name, define, code] of definitions) {
    for (const [label, text] of Object.entries(texts).filter(([, text]) => !/^[a-z]{1,64}$/i.test(text))) {
      await row(t, `${name}: ${label}`, async fault => {
        try {
          define(text)
          fault('is taken')
        } catch (error) {
          if ((error as { code?: string }).code !== code) fault(String(error))
        }
      })
    }
  }
})

t.test('an owner is any text, and a key of nothing else', async t => {
  for (const [label, text] of Object.entries(texts)) {
    await row(t, label, async fault => {
      const { length } = server.ends
      await ask({ path: urlOf('surface', 'a text'), body: JSON.stringify({ text }) }, fault, 200)
      if (server.ends.length !== length + 1 || server.ends.at(-1)!.owner !== text) fault(`belongs to ${String(server.ends.at(-1)?.owner)}`)
    })
  }
})

t.test('no text of a client leaves the place where it was put', async t => {
  for (const [label, text] of Object.entries(texts)) {
    const field = text.length > 256 ? `${text.slice(0, 255)}…` : text
    await row(t, `a key that the body must not have: ${label}`, async fault => {
      const before = started.length
      const answer = await ask({ path: '/strict', body: `{"n":1,${JSON.stringify(text)}:1}` }, fault, 400)
      const problem = problemOf(answer)
      // JSON parsers of this server refuse it before any schema.
      if (text !== '__proto__' && !isDeepStrictEqual(problem['errors'], [{ field, message: 'is not allowed' }])) fault(`tells ${JSON.stringify(problem).slice(0, 500)}`)
      if (started.length > before) fault('starts')
    })
  }
  for (const [label, text] of urlTexts) {
    const encoded = encodeURIComponent(text)
    await row(t, `a query string: ${label}`, async fault => {
      compareFrames(await ask({ method: 'GET', path: `/query-text?text=${encoded}` }, fault, 200), [['progress', { text }], ['complete', null]], 'echo', fault)
    })
    await row(t, `an unknown parameter: ${label}`, async fault => {
      const field = text.length > 256 ? `${text.slice(0, 255)}…` : text
      const { errors } = problemOf(await ask({ method: 'GET', path: `/query?${encoded}=1` }, fault, 400))
      if (!isDeepStrictEqual(errors, [{ field, message: 'is not allowed' }])) fault(`tells ${JSON.stringify(errors)}`)
    })
    if (text.length <= 100) {
      await row(t, `a path: ${label}`, async fault => {
        compareFrames(await ask({ method: 'GET', path: `/path/${encoded}` }, fault, 200), [['progress', { text }], ['complete', null]], 'echo', fault)
      })
    }
  }
  for (const [label, text] of headerTexts) {
    // As bytes, which Node reads as latin1; it refuses control characters, and an end of line ends the header or the request.
    const bytes = Buffer.from(text).toString('latin1')
    const refused = /[^\t -~\x80-\xff]/.test(bytes)
    for (const name of ['x-text', 'x-request-id', 'user-agent', 'cookie', 'accept-language', 'origin-of-nothing']) {
      await row(t, `the header ${name}: ${label}`, async fault => {
        const before = started.length
        const answer = await ask({ method: 'GET', path: '/header', headers: [['x-text', 'fine'], ...name === 'x-text' ? [] : [[name, text] as const]].map(([key, value]) => [key, name === 'x-text' ? text : value] as const) }, fault, refused ? 400 : 200)
        if (refused) {
          if (started.length > before) fault('starts')
          return
        }
        const expected = name === 'x-text' ? bytes.replaceAll(/^[ \t]+|[ \t]+$/g, '') : 'fine'
        compareFrames(answer, [['progress', { text: expected }], ['complete', null]], 'echo', fault)
      })
    }
    for (const name of ['last-event-id', 'idempotency-key', 'accept', 'content-type']) {
      await row(t, `the header ${name}: ${label}`, async fault => {
        const before = started.length
        const refusal = refused || name !== 'accept' ? 400 : 406
        const answer = await ask({ path: '/strict', headers: [[name, text]], body: '{"n":1}' }, fault, name === 'content-type' && !refused ? 415 : refusal)
        if (answer.body.includes('forged') && name !== 'content-type') fault('tells what it was sent')
        if (started.length > before) fault('starts')
      })
    }
  }
})

t.test('an id that a client sends starts no command, and none but a good one starts a query', async t => {
  for (const { name, request, status, resumeAfter } of lastEventIds) {
    await row(t, name, async fault => {
      for (const method of ['GET', 'POST']) {
        const before = started.length
        await ask({ method, ...request, path: `/command${request.path}`, ...(method === 'POST' && { body: '{}' }) }, fault, status)
        if ((started.length > before) !== (status === 200)) fault(`starts a command ${started.length - before} times by ${method}`)
      }
      const again = status === 204 && resumeAfter !== undefined
      const answer = await ask({ method: 'GET', ...request, path: `/feed${request.path}` }, fault, again ? 200 : status)
      if (answer.status === 200) compareFrames(answer, [['progress', resumeAfter ?? null], ['complete', null]], 'feed', fault)
    })
  }
})

t.test('a query string is what it says, or refused', async t => {
  for (const [query, expected] of queries) {
    await row(t, query, async fault => {
      const before = started.length
      const answer = await ask({ method: 'GET', path: `/query?${query}` }, fault, typeof expected === 'number' ? expected : 200)
      if (typeof expected === 'number') {
        if (started.length > before) fault('starts')
      } else {
        compareFrames(answer, [['progress', expected], ['complete', null]], 'query', fault)
        if (JSON.stringify(started.at(-1)) !== JSON.stringify(expected)) fault('gives the handler something else')
      }
    })
  }
})

t.test('a body is what it says, or refused', async t => {
  for (const { name, request, status, input, open } of bodies) {
    await row(t, name, async fault => {
      const before = started.length
      const path = open ? '/open' : '/strict'
      const answer = await ask({ ...request, path, ...(typeof request.raw === 'string' && { raw: request.raw.replaceAll('{path}', path) }) }, fault, status)
      if (status === 200) compareFrames(answer, [['progress', input], ['complete', null]], open ? 'open' : 'strict', fault)
      else if (started.length > before) fault('starts')
    })
  }
})

t.test('headers are taken for what they are', async t => {
  for (const [name, given, status, type] of headers) {
    await row(t, name, async fault => {
      const before = started.length
      const answer = await ask({ method: 'GET', path: '/command', headers: given }, fault, status)
      if (type !== undefined && !answer.headers.some(([key, value]) => key === 'content-type' && value.startsWith(type))) fault('is of another type')
      if (status === 200 && type === 'text/event-stream') compareFrames(answer, [['progress', null], ['complete', null]], 'get', fault)
      if ((started.length > before) !== (status === 200)) fault(`starts ${started.length - before} times`)
    })
  }
  for (const [method, status] of methods) {
    await row(t, `the method ${method}`, async fault => {
      const before = started.length
      const answer = await exchange(port, { method, path: '/command', raw: `${method} /command HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n` })
      if (answer.status !== status) fault(`answers ${answer.status}`)
      if (method === 'HEAD') faultsOf(answer).forEach(fault)
      if (started.length > before) fault('starts')
    })
  }
})

t.test('a deep body takes no longer than a flat one of its length allows', async t => {
  const depth = 250_000
  const deep = `${'['.repeat(depth)}${']'.repeat(depth)}`
  const flat = `["${'x'.repeat(2 * depth - 4)}"]`
  const times = { deep: [] as number[], flat: [] as number[] }
  for (let attempt = 0; attempt < 5; attempt++) {
    for (const [kind, body] of [['flat', flat], ['deep', deep]] as const) {
      const startedAt = performance.now()
      t.equal((await exchange(port, { path: '/strict', body })).status, 400)
      times[kind].push(performance.now() - startedAt)
    }
  }
  t.comment(`ms: ${JSON.stringify(times)}`)
  // Measured on a busy machine: 57 against 3.3 ms.
  t.ok(Math.min(...times.deep) < 250 + 20 * Math.min(...times.flat))
})

t.test('a client that leaves in the middle of what it sends starts nothing', async t => {
  const before = started.length
  for (const sent of [
    'POST /strict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{"n"',
    'POST /strict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{"n":1}\r\n',
    'POST /strict HTTP/1.1\r\nhost: a\r\n',
    'P',
    '\r\n\r\n\r\n'
  ]) {
    await row(t, sent, async fault => {
      const aborted = once(server.app.server, 'connection')
      const socket = connect({ port, host: '127.0.0.1' })
      socket.on('error', () => {})
      const [other] = await aborted
      // Not `once` of node:events, which rejects when the socket fails.
      const closed = new Promise(resolve => other.once('close', resolve))
      socket.write(sent, () => socket.destroy())
      await closed
      if (started.length > before) fault('starts')
    })
  }
})

t.test('nothing is left of more than 300 attacks, and the server answers as before', async t => {
  t.comment(`${inputs} inputs, ${started.length} streams, ${server.log.lines} lines of log`)
  t.ok(inputs >= 300)
  // Sums of what each table promises, so that none of them gets lost.
  t.equal(inputs, (surfaces.length + thrownWithTexts.length + 2) * Object.keys(texts).length + values.length + thrown.length +
    definitions.length * Object.values(texts).filter(text => !/^[a-z]{1,64}$/i.test(text)).length +
    urlTexts.length * 2 + headerTexts.length * 10 + urlTexts.filter(([, text]) => text.length <= 100).length +
    lastEventIds.length + queries.length + bodies.length + headers.length + methods.length + 5)
  const answer = await exchange(port, { path: '/strict', body: '{"n":1}' })
  t.strictSame(faultsOf(answer), [])
  t.strictSame(framesOf(answer).slice(1), [['progress', { n: 1 }], ['complete', null]])
  t.strictSame(server.app.mediator.stats(), { streams: 0, owners: 0, detachedHandlers: 0, runningEventHandlers: 0, waitingEventHandlers: 0 })
  t.equal(server.ends.length, started.length, 'each stream that was started has ended')
  t.strictSame(server.log.wrong, [])
  t.ok(server.log.lines > inputs)
  t.strictSame(uncaught, [])
  t.strictSame(Reflect.ownKeys(Object.prototype), prototype)
  t.notOk('polluted' in {})
})
