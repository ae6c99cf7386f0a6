import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { CancelledError, LogFencedError } from '../../lib/errors.js'
import { LoggedRun } from '../../lib/logged-run.js'
import type { LoggedRunOptions } from '../../lib/logged-run.js'
import type { MediatorStream } from '../../lib/mediator-stream.js'
import { MemoryStreamLog } from '../../lib/memory-stream-log.js'
import type { CommandDefinition, Handler, LogEnd, LogWriter, StreamingMediator } from '../../index.js'
import { Count } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import { StreamEnds } from '../support/stream-ends.js'
import { createMediator, deferred } from './support.js'

/** A writer as the interface allows it, that keeps what it was given. */
class PlainWriter implements LogWriter {
  readonly attempt = 1
  readonly #controller = new AbortController()
  readonly entries: Array<readonly [event: string, data: string]> = []
  /** What each append answers. */
  answer: (event: string) => boolean | Promise<boolean> = () => true
  hasReaders = false
  readonly ended = deferred<LogEnd>()

  get signal (): AbortSignal {
    return this.#controller.signal
  }

  onReaders (): void {}

  append (event: string, data: string): boolean | Promise<boolean> {
    const answer = this.answer(event)
    this.entries.push([event, data])
    return answer
  }

  async end (state: LogEnd, data: string): Promise<boolean> {
    this.entries.push([state, data])
    this.ended.resolve(state)
    return true
  }

  async release (): Promise<void> {}

  async discard (): Promise<void> {}

  abort (error: Error): void {
    this.#controller.abort(error)
  }
}

interface Run {
  readonly mediator: StreamingMediator
  readonly logs: LogLine[]
  readonly ends: StreamEnds
  readonly stream: MediatorStream<CommandDefinition>
  readonly run: LoggedRun
}

function createRun (t: Test, handler: Handler<typeof Count>, options: Partial<LoggedRunOptions> & Pick<LoggedRunOptions, 'writer'>): Run {
  const { mediator, logs } = createMediator(t)
  mediator.addHandler(Count, handler)
  const stream = mediator.stream(Count, { to: 1, label: '' }) as unknown as MediatorStream<CommandDefinition>
  const start = { streamId: stream.streamId, command: 'count', attempt: 1, resumable: true }
  const run = new LoggedRun({ stream, start, maxFrameBytes: 10_000, graceMs: undefined, ...options })
  return { mediator, logs, ends: new StreamEnds(mediator), stream, run }
}

async function * counting (): AsyncGenerator<{ n: number }, { total: number }> {
  yield { n: 1 }
  yield { n: 2 }
  return { total: 2 }
}

const names = ({ entries }: PlainWriter): string[] => entries.map(([event]) => event)

t.test('writes start, progress and the end, and counts what it has written', async t => {
  const writer = new PlainWriter()
  const { ends, run } = createRun(t, counting, { writer })
  t.strictSame(run.written, { frames: 0, bytes: 0, closed: false, failure: undefined })
  run.start()
  t.strictSame(names(writer), ['start'], 'before the handler can have made progress')
  t.equal(await writer.ended.promise, 'completed')
  t.strictSame(names(writer), ['start', 'progress', 'progress', 'completed'])
  const bytes = writer.entries.reduce((sum, [, data]) => sum + data.length, 0)
  t.strictSame(run.written, { frames: 4, bytes, closed: true, failure: undefined })
  t.match(await ends.until(1), [{ reason: 'completed', frames: 4, bytes, error: undefined }])
})

t.test('waits where the log has no room, and goes on when it has', async t => {
  const writer = new PlainWriter()
  const room = deferred<boolean>()
  writer.answer = event => event === 'progress' ? room.promise : true
  const { run } = createRun(t, counting, { writer })
  run.start()
  await sleep(20)
  t.strictSame(names(writer), ['start', 'progress'])
  writer.answer = () => true
  room.resolve(true)
  t.equal(await writer.ended.promise, 'completed')
})

for (const answer of [false, Promise.resolve(false)]) {
  t.test(`asks for nothing more where nothing more is taken: ${answer instanceof Promise ? 'later' : 'at once'}`, async t => {
    const writer = new PlainWriter()
    writer.answer = event => event === 'progress' ? answer : true
    const { run, ends } = createRun(t, counting, { writer })
    run.start()
    await sleep(20)
    t.strictSame(names(writer), ['start', 'progress'])
    writer.abort(new LogFencedError())
    t.match(await ends.until(1), [{ reason: 'lost' }])
  })
}

for (const [error, reason, state] of [[new CancelledError(), 'cancelled', 'cancelled'], [new LogFencedError(), 'lost', 'failed']] as const) {
  for (const when of ['before it starts', 'while it runs'] as const) {
    t.test(`ends with its writer, as ${reason}, ${when}`, async t => {
      const writer = new PlainWriter()
      const { run, ends, logs } = createRun(t, async function * (_input, { signal }) {
        yield { n: 1 }
        await sleep(60_000, undefined, { signal })
        return { total: 0 }
      }, { writer })
      if (when === 'before it starts') writer.abort(error)
      run.start()
      if (when === 'while it runs') {
        await sleep(10)
        writer.abort(error)
      }
      t.equal(await writer.ended.promise, state)
      t.equal(names(writer)[0], 'start')
      t.match(await ends.until(1), [{ reason }])
      t.match(logs.filter(({ msg }) => msg === 'stream ended'), [{ level: 30, reason }])
    })
  }
}

for (const [what, fail] of [
  ['throws', (): never => { throw new Error('away') }],
  ['rejects', async () => { throw new Error('away') }]
] as const) {
  for (const where of ['start', 'progress']) {
    t.test(`fails with a store that ${what} at ${where}`, async t => {
      const writer = new PlainWriter()
      writer.answer = event => event === where ? fail() : true
      const { run, ends, logs } = createRun(t, async function * (_input, { signal }) {
        if (where === 'start') await sleep(60_000, undefined, { signal })
        return yield * counting()
      }, { writer })
      run.start()
      t.equal(await writer.ended.promise, 'failed')
      t.match(run.failure, { error: { message: 'away' } })
      t.match(await ends.until(1), [{ reason: 'failed', error: { message: 'away' } }])
      t.match(logs.filter(({ msg }) => msg === 'stream ended'), [{ level: 50, err: { message: 'away' } }])
    })
  }
}

t.test('logs an end that could not be stored', async t => {
  const writer = new PlainWriter()
  writer.end = async () => { throw new Error('away') }
  const { run, ends, logs } = createRun(t, counting, { writer })
  run.start()
  t.match(await ends.until(1), [{ reason: 'completed' }])
  while (!logs.some(({ level }) => level >= 50)) await sleep(1)
  t.match(logs.filter(({ level }) => level >= 50), [{ msg: 'the end of the stream was not stored', err: { message: 'away' } }])
})

t.test('throws what refuses the stream before its handler starts, and writes nothing', async t => {
  const writer = new PlainWriter()
  let runs = 0
  const { mediator, run, stream, logs } = createRun(t, async function * () {
    runs++
    return { total: 0 }
  }, { writer })
  await mediator.close()
  t.throws(() => run.start(), { code: 'MEDIATOR_ERR_SHUTTING_DOWN' })
  await stream.result.catch(() => {})
  t.strictSame([writer.entries, runs, logs], [[], 0, []])
})

t.test('refuses a start that is too long before anything starts', async t => {
  const start = { streamId: 's', command: 'count', attempt: 1, resumable: true, url: `/${'x'.repeat(10_000)}` }
  t.throws(() => createRun(t, counting, { writer: new PlainWriter(), start }), { code: 'MEDIATOR_ERR_FRAME_TOO_LARGE' })
})

t.test('fails with a frame that is too long, and tells that in one that is not', async t => {
  for (const [text, maxFrameBytes, fits] of [['x'.repeat(900), 1_024, true], ['x'.repeat(960), 1_024, false], ['é'.repeat(480), 1_024, false]] as const) {
    const writer = new PlainWriter()
    const { run } = createRun(t, async function * () {
      yield { n: 1, text }
      return { total: 0 }
    }, { writer, maxFrameBytes })
    run.start()
    t.equal(await writer.ended.promise, fits ? 'completed' : 'failed', `${text.length}`)
  }
  const writer = new PlainWriter()
  const { run } = createRun(t, async function * () { throw Object.assign(new Error('x'.repeat(2_000)), { statusCode: 409 }) }, { writer, maxFrameBytes: 1_024 })
  run.start()
  await writer.ended.promise
  const [, data] = writer.entries.at(-1)!
  t.match(JSON.parse(data), { status: 409, code: 'CONFLICT', detail: undefined })
})

t.test('lets others have their turn however much a handler yields', async t => {
  const log = new MemoryStreamLog({ maxEntries: 10 })
  const opened = await log.open('i'.repeat(22), { owner: 'ada', command: 'count', fingerprint: '', lease: true })
  const { writer } = opened as { writer: LogWriter }
  let isOver = false
  let turns = 0
  const { run, ends } = createRun(t, async function * () {
    const until = performance.now() + 100
    while (performance.now() < until) yield { n: 1 }
    isOver = true
    return { total: 1 }
  }, { writer })
  run.start()
  const others = (): void => {
    turns++
    if (!isOver) setImmediate(others)
  }
  setImmediate(others)
  await ends.until(1)
  t.ok(turns > 1, `${turns} turns`)
})
