import { once } from 'node:events'
import { Readable } from 'node:stream'
import t from 'tap'
import type { Test } from 'tap'
import { Type } from '@sinclair/typebox'
import { StreamingMediator, defineCommand, defineEvent, defineQuery, frames } from '../../index.js'
import type { EndReason, FramesOptions, StreamFrame } from '../../index.js'
import type { Logger } from '../../lib/logger.js'
import { Count, Watch, deferred } from '../support/app.js'
import { StreamEnds } from '../support/stream-ends.js'

interface Line {
  readonly level: string
  readonly err: { readonly message?: string }
}

/** A mediator that tells what it logs and how its streams end. */
function createMediator (t: Test): { mediator: StreamingMediator, lines: Line[], reasons: EndReason[] } {
  const lines: Line[] = []
  const levels = Object.fromEntries(['debug', 'info', 'warn', 'error'].map(level => [level, ({ err }: Line) => { lines.push({ level, err }) }]))
  const logger = { ...levels, child: () => logger } as unknown as Logger
  const mediator = new StreamingMediator({ logger, closeGraceMs: 0 })
  t.teardown(() => mediator.close())
  const reasons: EndReason[] = []
  mediator.onStreamEnd(({ reason }) => reasons.push(reason))
  return { mediator, lines, reasons }
}

async function collect (source: AsyncIterable<StreamFrame>): Promise<Array<[event: string, data: unknown]>> {
  const collected: Array<[string, unknown]> = []
  for await (const { event, data } of source) collected.push([event, data])
  return collected
}

const input = { to: 2, label: 'n' }

t.test('gives the frames of a route, with values or with their texts', async t => {
  const { mediator, reasons } = createMediator(t)
  mediator.addHandler(Count, async function * ({ to }) {
    for (let n = 1; n <= to; n++) yield { n }
    yield undefined
    return { total: to }
  })
  for (const options of [undefined, {}, { data: 'value' }, { data: 'text' }] as Array<FramesOptions | undefined>) {
    const stream = mediator.stream(Count, input)
    const start = { streamId: stream.streamId, command: 'count', attempt: 1, resumable: false }
    const all = []
    for await (const frame of frames(stream, options)) all.push(frame)
    const data = (value: unknown): unknown => options?.data === 'text' ? JSON.stringify(value) : value
    t.strictSame(all, [
      { event: 'start', id: `${stream.streamId}.1`, data: data(start) },
      { event: 'progress', id: `${stream.streamId}.2`, data: data({ n: 1 }) },
      { event: 'progress', id: `${stream.streamId}.3`, data: data({ n: 2 }) },
      { event: 'complete', id: `${stream.streamId}.4.end`, data: data({ total: 2 }) }
    ])
  }
  t.strictSame(reasons, ['completed', 'completed', 'completed', 'completed'])
})

t.test('names progress by a record of schemas', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Watch, async function * () {
    yield { event: 'tick', data: { n: 1 } }
    yield { event: 'tock', data: { after: null } }
  })
  const all = await collect(frames(mediator.stream(Watch, { to: 1 })))
  t.strictSame(all.slice(1), [['tick', { n: 1 }], ['tock', { after: null }], ['complete', null]])
})

t.test('gives dates, bigints and unknown keys as a route writes them', async t => {
  const { mediator } = createMediator(t)
  const Rich = defineQuery({
    name: 'rich',
    input: Type.Null(),
    progress: Type.Object({ at: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }), size: Type.Unsafe<bigint>({ type: 'integer' }), text: Type.String() })
  })
  mediator.addHandler(Rich, async function * () {
    const value = { at: new Date(0), size: 9_007_199_254_740_991n, text: 'a\n\u2028"', secret: 1 }
    yield value
  })
  t.strictSame((await collect(frames(mediator.stream(Rich, null))))[1], ['progress', { at: '1970-01-01T00:00:00.000Z', size: 9_007_199_254_740_991, text: 'a\n\u2028"' }])
  t.strictSame((await collect(frames(mediator.stream(Rich, null), { data: 'text' })))[1],
    ['progress', '{"at":"1970-01-01T00:00:00.000Z","size":9007199254740991,"text":"a\\n\u2028\\""}'])
})

t.test('refuses another form of data, at once', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Count, () => ({ total: 1 }))
  t.throws(() => frames(mediator.stream(Count, input), { data: 'json' as 'text' }), { code: 'MEDIATOR_ERR_INVALID_OPTIONS' })
})

t.test('tells what the handler throws as a frame, never as an exception', async t => {
  for (const [thrown, begun, data, level] of [
    [new Error('secret'), true, { status: 500, code: 'INTERNAL_SERVER_ERROR', detail: undefined }, 'error'],
    [new Error('secret'), false, { status: 500, detail: undefined }, 'error'],
    [Object.assign(new Error('No such file'), { statusCode: 404 }), false, { status: 404, detail: 'No such file' }, 'info'],
    [undefined, true, { status: 500 }, 'error'],
    [new Proxy({}, { get () { throw new Error('trap') } }), true, { status: 500 }, 'error']
  ] as const) {
    const { mediator, lines, reasons } = createMediator(t)
    mediator.addHandler(Count, async function * () {
      if (begun) yield { n: 1 }
      throw thrown
    })
    const stream = mediator.stream(Count, input)
    const all = await collect(frames(stream))
    t.strictSame(all.map(([event]) => event), begun ? ['start', 'progress', 'failed'] : ['start', 'failed'])
    t.match(all.at(-1)![1], { ...data, instance: stream.streamId })
    t.strictSame(lines.map(({ level }) => level), [level])
    t.strictSame(reasons, ['failed'])
  }
})

t.test('fails at a value that does not match its schema, and returns the handler', async t => {
  const { mediator, lines, reasons } = createMediator(t)
  let finished = 0
  mediator.addHandler(Count, async function * ({ to }) {
    try {
      if (to === 1) yield { n: 'x' as never }
      return { total: 'x' as never }
    } finally {
      finished++
    }
  })
  for (const to of [1, 2]) {
    const all = await collect(frames(mediator.stream(Count, { ...input, to })))
    t.match(all.at(-1), ['failed', { status: 500, code: 'MEDIATOR_ERR_INVALID_OUTPUT', detail: undefined }])
  }
  t.equal(finished, 2)
  t.strictSame(lines.map(({ level }) => level), ['error', 'error'])
  t.equal(reasons[0], 'failed')
})

t.test('tells once that a stream has failed whose progress or result does not match its schema', async t => {
  for (const bad of ['progress', 'result']) {
    const { mediator } = createMediator(t)
    const ends = new StreamEnds(mediator)
    mediator.addHandler(Count, async function * () {
      yield { n: bad === 'progress' ? 'one' as never : 1 }
      return { total: 'one' as never }
    })
    t.match((await collect(frames(mediator.stream(Count, input)))).at(-1), ['failed', { code: 'MEDIATOR_ERR_INVALID_OUTPUT' }])
    t.match(ends.all, [{ reason: 'failed', error: { code: 'MEDIATOR_ERR_INVALID_OUTPUT' } }])
    t.equal(ends.all.length, 1)
  }
})

t.test('tells the end of a stream whose reader does not come back for the rest of its frames', async t => {
  const { mediator, reasons } = createMediator(t)
  mediator.addHandler(Count, async function * () {
    for (let n = 1; ; n++) yield { n }
  })
  const stream = mediator.stream(Count, input)
  const source = frames(stream)
  await source.next()
  await source.next()
  stream.abort()
  await t.rejects(stream.result)
  t.strictSame(reasons, ['cancelled'])
})

t.test('waits with the last frame until the events of the stream have settled', async t => {
  const { mediator } = createMediator(t)
  const Counted = defineEvent({ name: 'counted', payload: Type.Integer() })
  const gate = deferred()
  let handled = false
  mediator.addEventHandler(Counted, async () => {
    await gate.promise
    handled = true
  })
  mediator.addHandler(Count, async function * (_input, { emit }) {
    emit(Counted, 1)
    yield { n: 1 }
    throw new Error('secret')
  })
  for await (const { event } of frames(mediator.stream(Count, input))) {
    if (event === 'progress') gate.resolve()
    else if (event === 'failed') t.ok(handled)
  }
})

t.test('tells a cancelled stream and the shutdown of the mediator, and logs neither as an error', async t => {
  for (const [end, data, reason] of [
    ['abort', { status: 409, code: 'MEDIATOR_ERR_CANCELLED' }, 'cancelled'],
    ['close', { status: 503, code: 'MEDIATOR_ERR_SHUTTING_DOWN', retryable: true }, 'shutdown']
  ] as const) {
    const { mediator, lines, reasons } = createMediator(t)
    mediator.addHandler(Count, async function * (_input, { signal }) {
      yield { n: 1 }
      await once(signal, 'abort')
      return { total: 1 }
    })
    const stream = mediator.stream(Count, input)
    const source = frames(stream)
    await source.next()
    await source.next()
    const next = source.next()
    if (end === 'abort') stream.abort()
    else void mediator.close()
    t.match((await next).value, { event: 'failed', data })
    t.strictSame(await source.next(), { done: true, value: undefined })
    t.strictSame(lines.map(({ level }) => level), ['info'])
    t.strictSame(reasons, [reason])
  }
})

t.test('ends the stream of a reader that leaves its loop', async t => {
  for (const at of ['start', 'progress', 'complete']) {
    const { mediator, reasons } = createMediator(t)
    let finished = false
    mediator.addHandler(Count, async function * () {
      try {
        yield { n: 1 }
        return { total: 1 }
      } finally {
        finished = true
      }
    })
    for await (const { event } of frames(mediator.stream(Count, input))) {
      if (event === at) break
    }
    t.equal(finished, at !== 'start', 'nothing has begun before its first frame was taken')
    t.strictSame(reasons, { start: [], progress: ['cancelled'], complete: ['completed'] }[at])
    t.equal(mediator.stats().streams, 0)
  }
})

t.test('ends a stream whose handler waits when its reader returns the generator', async t => {
  const { mediator, reasons } = createMediator(t)
  const waiting = deferred()
  mediator.addHandler(Count, async function * (_input, { signal }) {
    yield { n: 1 }
    const aborted = once(signal, 'abort')
    waiting.resolve()
    await aborted
    return { total: 1 }
  })
  const source = frames(mediator.stream(Count, input))
  await source.next()
  await source.next()
  const next = source.next()
  await waiting.promise
  t.strictSame(await Promise.all([next.then(({ value }) => value?.event), source.return()]), ['failed', { done: true, value: undefined }])
  t.strictSame(reasons, ['cancelled'])
})

t.test('ends a stream whose handler waits when a Readable of its frames is destroyed, with an error or without', async t => {
  for (const error of [undefined, new Error('premature close')]) {
    const { mediator, lines, reasons } = createMediator(t)
    const waiting = deferred()
    const finished = deferred()
    mediator.addHandler(Count, async function * (_input, { signal }) {
      try {
        yield { n: 1 }
        const aborted = once(signal, 'abort')
        waiting.resolve()
        await aborted
        return { total: 1 }
      } finally {
        finished.resolve()
      }
    })
    const readable = Readable.from(frames(mediator.stream(Count, input))).on('error', () => {}).resume()
    await waiting.promise
    const closed = new Promise(resolve => readable.once('close', resolve))
    readable.destroy(error)
    await finished.promise
    await closed
    t.equal(readable.errored, error ?? null)
    t.strictSame(reasons, ['cancelled'])
    t.strictSame(lines.filter(({ level }) => level === 'error'), [], 'its reader is no failure of the stream')
  }
})

t.test('starts nothing for a reader that never reads, and none for a stream that was read before', async t => {
  const { mediator, reasons } = createMediator(t)
  let started = 0
  mediator.addHandler(Count, () => {
    started++
    return { total: 1 }
  })
  const unread = mediator.stream(Count, input)
  await frames(unread).return()
  t.equal(started, 0)
  await t.rejects(unread.result, { code: 'MEDIATOR_ERR_STREAM_ABORTED' })
  const stream = mediator.stream(Count, input)
  await stream.result
  await t.rejects(frames(stream).next(), { code: 'MEDIATOR_ERR_STREAM_ITERATED' })
  t.equal(started, 1)
  t.strictSame(reasons, ['completed'])
})

t.test('fails a command that is not there where it is called', async t => {
  const { mediator } = createMediator(t)
  const Missing = defineCommand({ name: 'missing', input: Type.Null() })
  t.throws(() => frames(mediator.stream(Missing, null)), { code: 'MEDIATOR_ERR_UNKNOWN_COMMAND' })
})
