import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineCommand } from '../../lib/definition.js'
import type { CommandDefinition } from '../../lib/definition.js'
import { FrameEncoder } from '../../lib/frame-encoder.js'
import { frameStyle } from '../../lib/frame-style.js'
import type { EventNames, Framing } from '../../lib/frame-style.js'
import type { FrameFormat } from '../../lib/frame-text.js'
import { problemOf } from '../../lib/problem.js'

const streamId = 'Zk3vQx0bT2mYw9LhR4sD1A'

const ProcessFiles = defineCommand({
  name: 'process-files',
  input: Type.Object({}),
  progress: Type.Object({ fileId: Type.String(), sizeBytes: Type.Integer() }),
  result: Type.Object({ processed: Type.Integer() })
})

const Watch = defineCommand({ name: 'watch', input: Type.Null(), progress: { tick: Type.Integer(), 'tock:2': Type.Object({ n: Type.Integer() }) } })

function returning (result: ReturnType<typeof Type.Any>): CommandDefinition {
  return defineCommand({ name: 'returning', input: Type.Null(), result })
}

function encoder (definition: CommandDefinition, format: FrameFormat = 'sse', framing?: Framing, names?: EventNames): FrameEncoder {
  return new FrameEncoder(definition, streamId, format, frameStyle(definition, framing, names))
}

const notFound = problemOf(Object.assign(new Error('No such file'), { statusCode: 404 }), streamId)
const bug = problemOf(new Error('secret'), streamId)

t.test('writes the frames of the protocol as server-sent events', async t => {
  const frames = encoder(ProcessFiles)
  t.equal(frames.start(15_000), `event: start
id: ${streamId}.1
data: {"streamId":"${streamId}","command":"process-files","attempt":1,"resumable":false,"heartbeatMs":15000}

`)
  t.equal(frames.progress({ fileId: 'a', sizeBytes: 1024, secret: true }), `event: progress
id: ${streamId}.2
data: {"fileId":"a","sizeBytes":1024}

`)
  t.equal(frames.complete({ processed: 1 }), `event: complete
id: ${streamId}.3.end
data: {"processed":1}

`)
  t.equal(frames.heartbeat, ':\n\n')
})

t.test('writes a failure with the members of its problem', async t => {
  t.equal(encoder(ProcessFiles).failed(notFound), `event: failed
id: ${streamId}.1.end
data: {"type":"about:blank","title":"Not Found","status":404,"detail":"No such file","instance":"${streamId}","code":"NOT_FOUND","retryable":false}

`)
})

t.test('has no heartbeat interval in a start that does not go over HTTP', async t => {
  t.equal(encoder(ProcessFiles).start(), `event: start
id: ${streamId}.1
data: {"streamId":"${streamId}","command":"process-files","attempt":1,"resumable":false}

`)
})

t.test('writes one line a frame as NDJSON', async t => {
  const frames = encoder(ProcessFiles, 'ndjson')
  t.equal(frames.start(1), `{"event":"start","id":"${streamId}.1","data":{"streamId":"${streamId}","command":"process-files","attempt":1,"resumable":false,"heartbeatMs":1}}\n`)
  t.equal(frames.progress({ fileId: 'a\nb', sizeBytes: 1 }), `{"event":"progress","id":"${streamId}.2","data":{"fileId":"a\\nb","sizeBytes":1}}\n`)
  t.equal(frames.complete({ processed: 1 }), `{"event":"complete","id":"${streamId}.3.end","data":{"processed":1}}\n`)
  t.equal(frames.heartbeat, '\n')
})

t.test('writes unnamed events with their type inside, for clients that listen to message', async t => {
  const frames = encoder(ProcessFiles, 'sse', 'envelope')
  t.equal(frames.start(1), `id: ${streamId}.1
data: {"type":"start","streamId":"${streamId}","command":"process-files","attempt":1,"resumable":false,"heartbeatMs":1}

`)
  t.equal(frames.progress({ fileId: 'a', sizeBytes: 1 }), `id: ${streamId}.2
data: {"type":"progress","data":{"fileId":"a","sizeBytes":1}}

`)
  t.equal(frames.complete({ processed: 1 }), `id: ${streamId}.3.end
data: {"type":"complete","processed":1}

`)
})

t.test('gives a failure in an envelope a message', async t => {
  t.equal(encoder(ProcessFiles, 'sse', 'envelope', { failed: 'error' }).failed(notFound), `id: ${streamId}.1.end
data: {"type":"error","title":"Not Found","status":404,"detail":"No such file","instance":"${streamId}","code":"NOT_FOUND","retryable":false,"message":"No such file"}

`)
  t.equal(encoder(ProcessFiles, 'sse', 'envelope').failed(bug), `id: ${streamId}.1.end
data: {"type":"failed","title":"Internal Server Error","status":500,"instance":"${streamId}","code":"INTERNAL_SERVER_ERROR","retryable":false,"message":"Internal Server Error"}

`)
})

for (const [result, data] of [
  [{ type: 'mine', n: 1 }, '{"type":"complete","data":{"type":"mine","n":1}}'],
  [{ type: undefined, n: 1 }, '{"type":"complete","n":1}'],
  [{}, '{"type":"complete"}'],
  [{ data: 1 }, '{"type":"complete","data":1}'],
  [null, '{"type":"complete","data":null}'],
  [5, '{"type":"complete","data":5}'],
  ['{"a":1}', '{"type":"complete","data":"{\\"a\\":1}"}'],
  [[1], '{"type":"complete","data":[1]}'],
  [[], '{"type":"complete","data":[]}']
] as const) {
  t.test(`puts the result ${JSON.stringify(result)} into an envelope as ${data}`, async t => {
    t.equal(encoder(returning(Type.Any()), 'sse', 'envelope').complete(result), `id: ${streamId}.1.end\ndata: ${data}\n\n`)
  })
}

t.test('does not put frames of NDJSON into envelopes', async t => {
  t.equal(encoder(ProcessFiles, 'ndjson', 'envelope').complete({ processed: 1 }), `{"event":"complete","id":"${streamId}.1.end","data":{"processed":1}}\n`)
})

t.test('names each progress of a record of schemas', async t => {
  const frames = encoder(Watch)
  t.equal(frames.progress({ event: 'tick', data: 1 }), `event: tick\nid: ${streamId}.1\ndata: 1\n\n`)
  t.equal(frames.progress({ event: 'tock:2', data: { n: 2 } }), `event: tock:2\nid: ${streamId}.2\ndata: {"n":2}\n\n`)
  t.equal(encoder(Watch, 'sse', 'envelope').progress({ event: 'tick', data: 1 }), `id: ${streamId}.1\ndata: {"type":"tick","data":1}\n\n`)
  t.equal(encoder(Watch, 'ndjson').progress({ event: 'tick', data: 1 }), `{"event":"tick","id":"${streamId}.1","data":1}\n`)
})

t.test('refuses progress that is not named or of another name, which takes no number', async t => {
  const frames = encoder(Watch)
  for (const value of [{ event: 'tack', data: 1 }, { event: 'complete', data: null }, { event: 'tick\nid: 5', data: 1 }, { data: 1 }, 'tick', 5, null,
    { event: 'tick', data: '1' }, { event: 'tick' }, { event: 'toString', data: 1 }, { event: ['tick'], data: 1 }]) {
    t.throws(() => frames.progress(value), { code: 'MEDIATOR_ERR_INVALID_OUTPUT' }, JSON.stringify(value))
  }
  t.equal(frames.progress({ event: 'tick', data: 1 }), `event: tick\nid: ${streamId}.1\ndata: 1\n\n`)
})

t.test('writes nothing for undefined, which takes no number', async t => {
  const frames = encoder(ProcessFiles)
  t.equal(frames.progress(undefined), '')
  t.equal(encoder(Watch).progress(undefined), '')
  t.match(frames.progress({ fileId: 'a', sizeBytes: 1 }), `id: ${streamId}.1\n`)
})

t.test('gives no number to a value that cannot be written', async t => {
  const frames = encoder(ProcessFiles)
  frames.start()
  t.throws(() => frames.progress({ fileId: 'a', sizeBytes: '1' }), { code: 'MEDIATOR_ERR_INVALID_OUTPUT' })
  t.throws(() => frames.progress(null), { code: 'MEDIATOR_ERR_INVALID_OUTPUT' })
  t.throws(() => frames.complete({}), { code: 'MEDIATOR_ERR_INVALID_OUTPUT' })
  t.match(frames.failed(bug), `id: ${streamId}.2.end\n`)
})

t.test('keeps line breaks of user data inside its one line', async t => {
  const evil = 'a\nevent: complete\r\ndata: {}\r\n\r\n\0\u2028'
  const lines = encoder(ProcessFiles).progress({ fileId: evil, sizeBytes: 1 }).split('\n')
  t.strictSame(lines.slice(0, 2), ['event: progress', `id: ${streamId}.1`])
  t.strictSame(JSON.parse(lines[2]!.slice('data: '.length)), { fileId: evil, sizeBytes: 1 })
  t.strictSame(lines.slice(3), ['', ''])
  const failed = encoder(ProcessFiles).failed(problemOf(Object.assign(new Error(evil), { statusCode: 400, code: evil })))
  t.equal(failed.split(/[\r\n]/).length, 5)
})

// What a Date says of itself is the only text that is not escaped.
function dateOf (text: string): Date {
  return Object.assign(new Date(0), { getUTCFullYear: () => 10_000, toISOString: () => text })
}

for (const lineBreak of ['\n', '\r']) {
  t.test(`refuses text with ${JSON.stringify(lineBreak)}, whatever let it through`, async t => {
    const At = Type.Unsafe<Date>({ type: 'string', format: 'date-time' })
    const Dated = defineCommand({ name: 'dated', input: Type.Null(), progress: At, result: At })
    for (const format of ['sse', 'ndjson'] as const) {
      const frames = encoder(Dated, format)
      t.throws(() => frames.progress(dateOf(`a${lineBreak}event: complete`)), { code: 'MEDIATOR_ERR_INVALID_OUTPUT', message: /line break/ })
      t.throws(() => frames.complete(dateOf(`a${lineBreak}event: complete`)), { code: 'MEDIATOR_ERR_INVALID_OUTPUT', message: /line break/ })
      t.match(frames.progress(new Date(0)), `${streamId}.1`)
    }
  })
}

t.test('escapes text of an unsafe format, which could begin members of its line', async t => {
  const Unsafe = defineCommand({ name: 'unsafe', input: Type.Null(), progress: Type.String({ format: 'unsafe' }) })
  for (const text of ['a","event":"complete","data":"b', '\n\nevent: complete\ndata: {}\n\n', '\\', '\ud800']) {
    t.strictSame(JSON.parse(encoder(Unsafe, 'ndjson').progress(text)), { event: 'progress', id: `${streamId}.1`, data: text })
  }
})

for (const [format, framing] of [['sse', 'event'], ['sse', 'envelope'], ['ndjson', 'event']] as const) {
  t.test(`tells of a failure that makes too long a frame without its words, as ${format} ${framing}`, async t => {
    const style = frameStyle(ProcessFiles, framing, { failed: 'f'.repeat(64) })
    for (const [message, code, told] of [
      ['x'.repeat(5_000), 'TOO_LONG', 'TOO_LONG'],
      ['no', '\0'.repeat(5_000), '?'.repeat(128)],
      ['no', '\ud800'.repeat(5_000), '?'.repeat(128)],
      ['"'.repeat(5_000), '"'.repeat(5_000), '"'.repeat(128)]
    ] as const) {
      // The longest of what else is told.
      const problem = problemOf(Object.assign(new Error(message), { statusCode: 431, code }), streamId)
      const frame = new FrameEncoder(ProcessFiles, streamId, format, style, 1_024).failed(problem)
      t.ok(Buffer.byteLength(frame) <= 1_024)
      t.match(frame, `${streamId}.1.end`)
      t.match(JSON.parse(frame.replace(/^[^{]*/, '')), format === 'sse' ? { status: 431, code: told, detail: undefined } : { data: { status: 431, code: told, detail: undefined } })
    }
  })
}

t.test('gives events other names', async t => {
  const names = { start: 'began', progress: 'step', complete: 'done', failed: 'error' }
  const frames = encoder(ProcessFiles, 'sse', 'event', names)
  t.match(frames.start(), /^event: began\n/)
  t.match(frames.progress({ fileId: 'a', sizeBytes: 1 }), /^event: step\n/)
  t.match(frames.complete({ processed: 1 }), /^event: done\n/)
  t.match(frames.failed(bug), /^event: error\n/)
  t.match(encoder(ProcessFiles, 'sse', 'envelope', names).progress({ fileId: 'a', sizeBytes: 1 }), '{"type":"step",')
})

t.test('completes a style with the names of the protocol', async t => {
  t.strictSame(frameStyle(ProcessFiles), { framing: 'event', names: { start: 'start', progress: 'progress', complete: 'complete', failed: 'failed' } })
  t.strictSame(frameStyle(Watch, 'envelope', { failed: 'error' }).names.failed, 'error')
  t.strictSame(frameStyle(ProcessFiles, 'event', { start: undefined } as unknown as EventNames), frameStyle(ProcessFiles))
})

for (const [names, message] of [
  [{ failed: 'a b' }, /"a b"/],
  [{ failed: 'a\nid: 1' }, /no event name/],
  [{ progress: '' }, /no event name/],
  [{ start: null }, /no event name/],
  [{ failure: 'error' }, /no failure/],
  [{ toString: 'error' }, /no toString/],
  [{ failed: 'progress' }, /one name/],
  [{ complete: 'done', failed: 'done' }, /one name/]
] as unknown as Array<[EventNames, RegExp]>) {
  t.test(`refuses the event names ${JSON.stringify(names)}`, async t => {
    t.throws(() => frameStyle(ProcessFiles, 'event', names), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message })
  })
}

t.test('refuses a name that the definition gives to its progress, and a framing that it does not know', async t => {
  t.throws(() => frameStyle(Watch, 'event', { complete: 'tick' }), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /one name/ })
  t.throws(() => frameStyle(Watch, 'event', { progress: 'step' }), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /names its progress events itself/ })
  t.throws(() => frameStyle(Watch, 'enveloped' as Framing), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /framing/ })
})

for (const format of ['sse', 'ndjson'] as const) {
  for (const framing of ['event', 'envelope'] as const) {
    const limited = (maxFrameBytes: number, names?: EventNames): FrameEncoder =>
      new FrameEncoder(ProcessFiles, streamId, format, frameStyle(ProcessFiles, framing, names), maxFrameBytes)

    t.test(`writes a frame of exactly maxFrameBytes and refuses a longer one, without a number: ${format}, ${framing}`, async t => {
      for (const fileId of ['a'.repeat(2_000), 'é'.repeat(2_000), '€'.repeat(2_000), '😀'.repeat(2_000)]) {
        const value = { fileId, sizeBytes: 1 }
        const bytes = Buffer.byteLength(limited(Infinity).progress(value))
        t.equal(Buffer.byteLength(limited(bytes).progress(value)), bytes)
        const frames = limited(bytes - 1)
        t.throws(() => frames.progress(value), { code: 'MEDIATOR_ERR_FRAME_TOO_LARGE', message: `Command "process-files" gave a progress whose frame is longer than ${bytes - 1} bytes: send parts, or a link to it` })
        t.equal(frames.frames, 0)
        t.match(frames.progress({ fileId: 'a', sizeBytes: 1 }), `${streamId}.1`)
      }
    })

    t.test(`tells a failure whatever its error says, in a frame that fits: ${format}, ${framing}`, async t => {
      const name = 'f'.repeat(64)
      for (const [what, member] of [
        ['a long message', { message: 'm'.repeat(5_000), code: 'LONG' }],
        ['a long code', { message: 'm', code: 'C'.repeat(5_000) }],
        ['a code of control characters', { message: 'm', code: '\u0001'.repeat(5_000) }],
        ['a code of lone surrogates', { message: 'm', code: '\ud800'.repeat(5_000) }],
        ['a code of long characters', { message: 'm', code: '€'.repeat(5_000) }],
        ['many validation errors', { message: 'm', validation: Array.from({ length: 1_000 }, (_, index) => ({ keyword: 'type', instancePath: `/${index}`, params: {}, message: 'must be string' })) }]
      ] as const) {
        const frames = limited(1_024, { failed: name })
        frames.start(15_000)
        const frame = frames.failed(problemOf(Object.assign(new Error(member.message), { statusCode: 431 }, member), streamId))
        t.ok(Buffer.byteLength(frame) <= 1_024, `${what}: ${Buffer.byteLength(frame)} bytes`)
        const json = format === 'ndjson' ? JSON.parse(frame).data : JSON.parse(/^data: (.*)$/m.exec(frame)![1]!)
        t.match(json, { status: 431, title: 'Request Header Fields Too Large', instance: streamId, retryable: false }, what)
        t.notOk('detail' in json)
        t.equal(frames.frames, 2)
      }
      const frames = limited(1_024)
      t.notMatch(frames.failed(problemOf(Object.assign(new Error('m'.repeat(5_000)), { statusCode: 404 }))), /instance/)
    })
  }
}
