import t from 'tap'
import { createEventParser } from '../../lib/client/event-parser.js'
import { textOf } from '../../lib/client/exchange.js'
import { randomFrom } from '../support/random.js'
import { deviations, vectors } from './event-stream-vectors.js'
import type { Dispatched, Vector } from './event-stream-vectors.js'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const random = randomFrom(seed)

/** What a page would see of a stream that arrives in these chunks. */
async function dispatch (chunks: readonly Uint8Array[]): Promise<Pick<Vector, 'events' | 'retryMs'>> {
  const events: Dispatched[] = []
  let lastEventId = ''
  let retryMs: number | undefined
  const parse = createEventParser(10_000, ms => { retryMs = ms })
  const body = new ReadableStream({
    start (controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    }
  })
  for await (const text of textOf(new Response(body), new AbortController().signal, () => 60_000)) {
    for (const { event = 'message', data, id = lastEventId } of parse(text)) {
      lastEventId = id
      events.push([event, data, lastEventId])
    }
  }
  return { events, ...(retryMs !== undefined && { retryMs }) }
}

function * randomChunks (bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const to = at + Math.ceil(random() * random() * 12)
    yield bytes.subarray(at, to)
    at = to
    // Some are empty.
    if (random() < 0.1) yield new Uint8Array()
  }
}

t.test('there are 200 different streams at least, each with a rule of its own', async t => {
  const streams = new Set(vectors.map(({ stream }) => String(stream)))
  t.ok(streams.size >= 200, `${streams.size} streams`)
  t.equal(new Set(vectors.map(({ rule }) => rule)).size, vectors.length)
})

for (const [name, cut] of [
  ['whole', (bytes: Uint8Array) => [bytes]],
  ['byte by byte', (bytes: Uint8Array) => Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))],
  [`in random chunks, SEED=${seed}`, (bytes: Uint8Array) => [...randomChunks(bytes)]]
] as const) {
  t.test(`reads streams as the standard says, ${name}`, async t => {
    for (const { rule, stream, events, retryMs } of vectors) {
      const bytes = typeof stream === 'string' ? new TextEncoder().encode(stream) : stream
      t.strictSame(await dispatch(cut(bytes)), { events, ...(retryMs !== undefined && { retryMs }) }, rule)
    }
  })
}

t.test('an event that a CR ends does not wait for what comes next', async t => {
  const parse = createEventParser(100, () => {})
  t.equal(parse('data: a\r\r').length, 1)
  t.equal(parse('\n').length, 0)
  t.strictSame(parse('data: b\r\n\r').map(({ data }) => data), ['b'])
})

t.test('an id without data is the one thing that is read otherwise than the standard says', async t => {
  for (const { rule, stream, events } of deviations) {
    t.notSame((await dispatch([new TextEncoder().encode(stream as string)])).events, events, rule)
  }
})

t.test('a line or an event that is too long is refused, however it is cut', async t => {
  for (const text of [`data: ${'x'.repeat(200)}`, `: ${'x'.repeat(200)}`, 'data: xxxxxxxxx\n'.repeat(20), 'data\n'.repeat(200)]) {
    const parse = createEventParser(100, () => {})
    t.throws(() => { for (const character of text) parse(character) }, { code: 'CLIENT_ERR_TOO_LARGE', kind: 'truncated' })
  }
})
