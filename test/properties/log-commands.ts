import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { LogEnd, LogEntry, LogWriter } from '../../lib/stream-log.js'
import { assertEntries, retainMs } from './log-model.js'
import type { Answer, LogModel, LogSubject, ModelReader, ModelStream } from './log-model.js'

type Step = fc.AsyncCommand<LogModel, LogSubject>

const owners = ['ada', 'bob']

/** A step of a schedule: what it does to the log, and to the model, is told by `act`. */
class LogCommand implements Step {
  readonly #name: string
  readonly #check: (model: LogModel) => boolean
  readonly #act: (model: LogModel, real: LogSubject) => Promise<void>

  constructor (name: string, check: (model: LogModel) => boolean, act: (model: LogModel, real: LogSubject) => Promise<void>) {
    this.#name = name
    this.#check = check
    this.#act = act
  }

  check (model: Readonly<LogModel>): boolean {
    return this.#check(model as LogModel)
  }

  async run (model: LogModel, real: LogSubject): Promise<void> {
    await this.#act(model, real)
    await real.compare(model)
  }

  toString (): string {
    return this.#name
  }
}

const id = fc.constantFrom('a', 'b', 'c', 'd')
const owner = fc.constantFrom(...owners)
const any = (): boolean => true

const open = fc.record({ id, owner, fingerprint: fc.constantFrom('one', 'two'), lease: fc.boolean() }).map(given => new LogCommand(
  `open(${JSON.stringify(given)})`, any, async (model, { log }) => {
    const { id, owner, fingerprint, lease } = given
    const existing = model.streams.get(id)
    if (existing === undefined && model.isFull()) {
      await assert.rejects(log.open(id, { ...given, command: 'count' }), { code: 'MEDIATOR_ERR_LOG_FULL' })
      model.saw('MEDIATOR_ERR_LOG_FULL')
      return
    }
    const opened = await log.open(id, { ...given, command: 'count' })
    if (existing !== undefined) {
      assert.equal(opened.outcome, existing.owner !== owner ? 'forbidden' : existing.fingerprint === fingerprint ? 'exists' : 'mismatch')
      return
    }
    assert.ok(opened.outcome === 'created')
    assert.equal(opened.writer === undefined, !lease)
    model.streams.set(id, {
      id,
      owner,
      fingerprint,
      number: ++model.opened,
      base: log.heldBytes - model.heldBytes,
      all: [],
      readers: new Set(),
      state: lease ? 'running' : 'queued',
      attempt: lease ? 1 : 0,
      trimmed: 0,
      writer: opened.writer,
      cancelled: false,
      progressCount: 0,
      endedAt: undefined,
      waiting: undefined,
      forgotten: false
    })
  }))

const take = id.map(id => new LogCommand(`take(${id})`, any, async (model, { log }) => {
  const stream = model.streams.get(id)
  const taken = await log.take(id)
  const free = stream?.endedAt === undefined && stream?.writer === undefined
  assert.equal(taken.outcome, stream === undefined ? 'gone' : stream.endedAt !== undefined ? 'closed' : free ? 'taken' : 'leased')
  if (taken.outcome !== 'taken') return
  Object.assign(stream!, { attempt: stream!.attempt + 1, state: 'running', writer: taken.writer, progressCount: 0 })
  assert.equal(taken.writer.attempt, stream!.attempt)
  if (stream!.attempt > 1) model.saw('a second attempt')
}))

/** A stream that is written, and whose writer need not wait. */
function written (model: LogModel, id: string): { stream: ModelStream, writer: LogWriter } | undefined {
  const stream = model.streams.get(id)
  return stream?.writer === undefined || stream.waiting !== undefined ? undefined : { stream, writer: stream.writer }
}

const append = fc.record({ id, event: fc.constantFrom('start', 'progress', 'tick'), length: fc.constantFrom(1, 10, 300, 3_000), times: fc.constantFrom(1, 1, 1, 8) })
  .map(({ id, event, length, times }) => new LogCommand(`append(${id}, ${event}, ${length}, ${times})`, model => written(model, id) !== undefined, async model => {
    const { stream, writer } = written(model, id)!
    for (let each = 0; each < times && stream.waiting === undefined; each++) {
      const data = `${stream.all.length}`.padStart(length, '0')
      const answer = writer.append(event, data)
      model.push(stream, event, data)
      if (model.trim(stream)) {
        assert.equal(answer, true)
        continue
      }
      assert.notEqual(typeof answer, 'boolean', 'the writer should wait')
      const told: Answer = { value: 'pending' }
      void (answer as Promise<boolean>).then(value => { told.value = value })
      model.wait(stream, told)
    }
  }))

const end = fc.record({ id, state: fc.constantFrom<LogEnd>('completed', 'failed', 'cancelled') }).map(({ id, state }) => new LogCommand(
  `end(${id}, ${state})`, model => model.streams.get(id)?.writer !== undefined, async model => {
    const stream = model.streams.get(id)!
    assert.equal(await stream.writer!.end(state, `"${state}"`), true)
    model.end(stream, state, `"${state}"`)
  }))

const release = id.map(id => new LogCommand(`release(${id})`, model => model.streams.get(id)?.writer !== undefined, async model => {
  const stream = model.streams.get(id)!
  const { signal } = stream.writer!
  await stream.writer!.release()
  assert.equal(signal.aborted, true)
  model.dropWriter(stream)
  stream.state = 'queued'
  model.goOn(stream, false)
  if (stream.cancelled) model.endCancelled(stream)
}))

const discard = id.map(id => new LogCommand(`discard(${id})`, model => model.streams.get(id)?.writer !== undefined, async model => {
  const stream = model.streams.get(id)!
  const writer = stream.writer!
  await writer.discard()
  assert.equal(writer.signal.aborted, true)
  model.discard(stream)
}))

const stale = fc.nat().map(pick => new LogCommand(`stale(${pick})`, model => model.staleWriters.length > 0, async model => {
  const writer = model.staleWriters[pick % model.staleWriters.length]!
  assert.equal(writer.append('progress', 'late'), false)
  assert.equal(await writer.end('failed', 'late'), false)
  await writer.release()
  await writer.discard()
}))

const cancel = fc.record({ id, owner: fc.option(owner, { nil: undefined }) }).map(({ id, owner }) => new LogCommand(
  `cancel(${id}, ${owner})`, any, async (model, { log }) => {
    const stream = model.streams.get(id)
    const info = await log.cancel(id, { owner })
    if (stream === undefined || (owner !== undefined && owner !== stream.owner)) {
      assert.equal(info, undefined)
      return
    }
    if (stream.endedAt === undefined && !stream.cancelled) {
      stream.cancelled = true
      if (stream.writer === undefined) model.endCancelled(stream)
      else assert.equal(stream.writer.signal.aborted, true)
    }
    assert.equal(info!.state, stream.state)
  }))

const read = fc.record({ id, owner: fc.option(owner, { nil: undefined }), back: fc.nat(12), attempt: fc.constantFrom(0, 0, 0, 0, 1, -1) })
  .map(({ id, owner, back, attempt }) => new LogCommand(`read(${id}, ${owner}, ${back}, ${attempt})`, model => model.readers.length < 40, async (model, { log }) => {
    const stream = model.streams.get(id)
    // Two past the end, or any place before it.
    const seq = Math.max((stream?.all.length ?? 0) + 2 - back, 0)
    const entry = stream?.all[seq - 1]
    const after = { seq, attempt: Math.max((entry?.attempt ?? 1) + attempt, 0) }
    const reading = log.read(id, { owner, after })
    let code: string | undefined
    if (stream === undefined || (owner !== undefined && owner !== stream.owner)) code = 'MEDIATOR_ERR_STREAM_NOT_FOUND'
    else if (seq > stream.all.length) code = 'MEDIATOR_ERR_LOG_ROLLED_BACK'
    else if (entry !== undefined && seq > stream.trimmed && attempt !== 0 && after.attempt !== entry.attempt) code = 'MEDIATOR_ERR_LOG_ROLLED_BACK'
    else if (seq > 0 && seq <= stream.trimmed && after.attempt > stream.all[stream.trimmed]!.attempt) code = 'MEDIATOR_ERR_LOG_ROLLED_BACK'
    else if (seq < stream.trimmed) code = 'MEDIATOR_ERR_LOG_GAP'
    if (code !== undefined) {
      await assert.rejects(reading, { code })
      model.saw(code)
      return
    }
    const reader = { real: await reading, stream: stream!, seq, readAt: model.now, pacing: true, closed: false, due: 0, called: 0, asked: false }
    stream!.readers.add(reader)
    model.spare.delete(stream!)
    model.readers.push(reader)
  }))

function picked (model: LogModel, pick: number): ModelReader {
  return model.readers[pick % model.readers.length]!
}

const hasReaders = (model: LogModel): boolean => model.readers.length > 0

const takeBatch = fc.record({ pick: fc.nat(), all: fc.boolean() }).map(({ pick, all }) => new LogCommand(`takeBatch(${pick}, ${all})`, hasReaders, async model => {
  const reader = picked(model, pick)
  const { stream, real } = reader
  if (!reader.closed && reader.seq < stream.trimmed) {
    assert.equal(reader.pacing, false, 'only a reader that was cut can meet a gap')
    assert.throws(() => real.take(), { code: 'MEDIATOR_ERR_LOG_GAP' })
    model.saw('a reader met a gap')
    return
  }
  const entries: LogEntry[] = [...real.take()]
  for (let more = all; more;) {
    const batch = real.take()
    entries.push(...batch)
    more = batch.length > 0
  }
  const rest = reader.closed ? [] : stream.all.slice(reader.seq)
  assert.ok(entries.length > 0 || rest.length === 0, 'there is something to read')
  assertEntries(entries, all ? rest : rest.slice(0, entries.length))
  if (entries.length === 0) return
  reader.seq += entries.length
  if (stream.waiting === undefined) return
  reader.readAt = model.now
  model.relieve(stream)
}))

const onReady = fc.nat().map(pick => new LogCommand(`onReady(${pick})`, hasReaders, async model => {
  const reader = picked(model, pick)
  let returned = false
  reader.real.onReady(() => {
    assert.ok(returned)
    reader.called++
  })
  returned = true
  reader.asked = true
  model.wake(reader)
}))

const leave = fc.nat().map(pick => new LogCommand(`leave(${pick})`, hasReaders, async model => {
  const reader = picked(model, pick)
  reader.real.close()
  model.leave(reader)
}))

const advance = fc.constantFrom(50, 50, 50, 200, 650, 1_100).map(ms => new LogCommand(`advance(${ms})`, any, async (model, { log, clock }) => {
  // In parts, in each of which streams expire before readers are cut: the times of the two never meet.
  for (let passed = 0; passed < ms; passed += 25) {
    clock.advance(25)
    for (const stream of [...model.streams.values()]) {
      if (stream.endedAt === undefined) continue
      const age = model.now + 25 - stream.endedAt
      if (age < retainMs) continue
      const isGone = await log.stat(stream.id) === undefined
      assert.ok(isGone || age < retainMs * 61 / 60, `a stream is there at the age of ${age}`)
      if (!isGone) continue
      model.saw('a stream expired')
      model.forget(stream)
    }
    model.advance(25)
  }
}))

const list = fc.record({ owner, limit: fc.integer({ min: 1, max: 3 }) }).map(({ owner, limit }) => new LogCommand(
  `list(${owner}, ${limit})`, any, async (model, { log }) => {
    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await log.list(owner, { limit, after })
      assert.ok(page.streams.length <= limit)
      seen.push(...page.streams.map(({ streamId }) => streamId))
      after = page.next
    } while (after !== undefined)
    const expected = [...model.streams.values()].filter(stream => stream.owner === owner).sort((one, other) => other.number - one.number)
    assert.deepEqual(seen, expected.map(({ id }) => id))
  }))

/** Steps of all kinds, in any order. */
export function commands (maxCommands: number): fc.Arbitrary<Iterable<Step>> {
  const often = [append, append, append, append, append, append, read, read, read, takeBatch, takeBatch, onReady]
  const { FC_REPLAY_PATH: replayPath } = process.env
  return fc.commands([...often, open, take, end, release, discard, stale, cancel, leave, advance, list],
    { maxCommands, size: 'max', ...replayPath !== undefined && { replayPath } })
}
