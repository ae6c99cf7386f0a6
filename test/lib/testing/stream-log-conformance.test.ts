import t from 'tap'
import { MemoryStreamLog } from '../../../lib/memory-stream-log.js'
import type { LogReader, LogWriter, OpenLogOptions, OpenLogResult, ReadLogOptions, StreamLog } from '../../../lib/stream-log.js'
import { streamLogConformance } from '../../../lib/testing/stream-log-conformance.js'

// What a log is made of is changed in one place each; nothing of the memory log is replaced otherwise.
function changed (change: Partial<{
  open (log: StreamLog, id: string, options: OpenLogOptions): Promise<OpenLogResult>
  read (log: StreamLog, id: string, options: ReadLogOptions): Promise<LogReader>
  writer (writer: LogWriter): Partial<LogWriter>
  reader (reader: LogReader): Partial<LogReader>
  log (log: StreamLog): Partial<StreamLog>
}>): StreamLog {
  const log = new MemoryStreamLog({ maxEntries: 10 })
  const whole: StreamLog = {
    open: async (id, options) => {
      const opened = await (change.open === undefined ? log.open(id, options) : change.open(log, id, options))
      return opened.outcome === 'created' && opened.writer !== undefined ? { ...opened, writer: overlay(opened.writer, change.writer) } : opened
    },
    take: async id => {
      const taken = await log.take(id)
      return taken.outcome === 'taken' ? { ...taken, writer: overlay(taken.writer, change.writer) } : taken
    },
    read: async (id, options = {}) => overlay(await (change.read === undefined ? log.read(id, options) : change.read(log, id, options)), change.reader),
    cancel: async (...args) => await log.cancel(...args),
    stat: async (...args) => await log.stat(...args),
    list: async (...args) => await log.list(...args),
    close: async () => await log.close()
  }
  return overlay(whole, () => change.log?.(log) ?? {})
}

function overlay<T extends object> (target: T, change: ((target: T) => Partial<T>) | undefined): T {
  const own = change?.(target) ?? {}
  return new Proxy(target, {
    get: (_, key) => {
      const from = key in own ? own : target
      const value: unknown = Reflect.get(from, key, from)
      return typeof value === 'function' ? value.bind(from) : value
    }
  })
}

async function failuresOf (make: () => StreamLog, patienceMs: number): Promise<string[]> {
  const cases = streamLogConformance(() => ({ log: make(), expire: async () => {} }))
  const kept = await Promise.all(cases.map(async ({ run }) => {
    let timer: NodeJS.Timeout | undefined
    // What waits for ever fails in a runner by its timeout.
    const late = new Promise<false>(resolve => { timer = setTimeout(resolve, patienceMs, false) })
    const outcome = await Promise.race([run().then(() => true, () => false), late])
    clearTimeout(timer)
    return outcome
  }))
  return cases.filter((_, index) => !kept[index]).map(({ name }) => name)
}

const expiry = 'a stream is kept for a time after its end, and then it is as if it had never been'

t.test('finds nothing in a log that only expires too late, but that', async t => {
  t.strictSame(await failuresOf(() => changed({}), 20_000), [expiry])
})

const mutants: Record<string, [change: Parameters<typeof changed>[0], found: string]> = {
  'runs a second request beside the first': [{
    open: async (log, id, options) => {
      const opened = await log.open(id, options)
      return opened.outcome === 'exists' ? await log.open(`${id}2`, options) : opened
    }
  }, 'of many who open one stream at once, one creates it'],
  'takes another body for the same request': [{
    open: async (log, id, options) => await log.open(id, { ...options, fingerprint: 'one' })
  }, 'who asks for something else under the same id is told so, and somebody else even less'],
  'skips what was trimmed': [{
    read: async (log, id, options) => {
      const info = await log.stat(id, options)
      const seq = Math.max(options.after?.seq ?? 0, (info?.firstSeq ?? 1) - 1)
      return await log.read(id, { ...options, after: { seq, attempt: options.after?.attempt ?? 1 } })
    }
  }, 'the newest entries are kept, and who wants older ones is told of the gap'],
  'believes any id': [{
    read: async (log, id, { after, ...options }) => {
      const info = await log.stat(id, options)
      return await log.read(id, after === undefined || info === undefined || after.seq > (info.last?.seq ?? 0) ? options : { ...options, after })
    }
  }, 'an id that the log never held tells that it was rolled back'],
  'gives an entry twice': [{
    reader: reader => ({ take: () => reader.take().flatMap(entry => entry.seq === 3 ? [entry, entry] : [entry]) })
  }, 'entries are read as they were written, with numbers that have no gap'],
  'loses an entry': [{
    reader: reader => ({ take: () => reader.take().filter(({ seq }) => seq !== 5) })
  }, 'what is appended without waiting arrives in order'],
  'does not wake': [{
    reader: () => ({ onReady: () => {} })
  }, 'a reader that waits is called back when there is an entry, and not before `onReady` has returned'],
  'writes what comes after the end': [{
    writer: writer => ({
      append: (event, data) => {
        const answer = writer.append(event, data)
        return answer === false ? true : answer
      }
    })
  }, 'there is one terminal, and nothing after it'],
  'says that every end was the one': [{
    writer: writer => ({
      end: async (state, data) => {
        await writer.end(state, data)
        return true
      }
    })
  }, 'there is one terminal, and nothing after it'],
  'cancels on its own': [{
    log: log => ({
      cancel: async (id, options) => {
        await log.cancel(id, options)
        return await log.stat(id, options).then(info => info && { ...info, state: 'cancelled' })
      }
    })
  }, 'a cancel reaches the writer, who writes the end'],
  'does not tell the writer of a cancel': [{
    writer: () => ({ signal: new AbortController().signal })
  }, 'a cancel reaches the writer, who writes the end'],
  'lets anybody read': [{
    read: async (log, id, options) => await log.read(id, { ...options, owner: undefined })
  }, 'the stream of somebody else is one that does not exist'],
  'lets anybody cancel': [{
    log: log => ({ cancel: async id => await log.cancel(id) })
  }, 'the stream of somebody else is one that does not exist'],
  'lets anybody ask': [{
    log: log => ({ stat: async id => await log.stat(id) })
  }, 'the stream of somebody else is one that does not exist'],
  'lists everything at once': [{
    log: log => ({ list: async owner => await log.list(owner, { limit: 100 }) })
  }, 'an owner\'s streams are listed in pages, the newest first'],
  'gives a stream to two': [{
    log: log => ({
      take: async id => {
        const taken = await log.take(id)
        if (taken.outcome !== 'leased') return taken
        return { outcome: 'taken', info: (await log.stat(id))!, writer: {} as LogWriter }
      }
    })
  }, 'a stream that was opened without a lease waits until it is taken, once'],
  'does not know its readers': [{
    writer: () => ({ hasReaders: true })
  }, 'the writer knows whether anybody reads'],
  'does not give back': [{
    writer: () => ({ release: async () => {} })
  }, 'the next attempt goes on in the same log, and the one before is fenced'],
  'remembers what was discarded': [{
    writer: writer => ({ discard: async () => await writer.release() })
  }, 'a stream that is discarded is as if it had never been opened'],
  'ends what was discarded for its readers to see': [{
    writer: writer => ({
      discard: async () => {
        await writer.end('failed', '{}')
        await writer.discard()
      }
    })
  }, 'a stream that is discarded is as if it had never been opened'],
  'forgets nothing when it is closed': [{
    log: () => ({ close: async () => {} })
  }, 'a log that is closed lets its readers and writers go']
}

for (const [what, [change, found]] of Object.entries(mutants)) {
  t.test(`finds a log that ${what}`, { timeout: 60_000 }, async t => {
    const failures = await failuresOf(() => changed(change), 500)
    t.ok(failures.includes(found), failures.join('\n'))
  })
}

t.test('gives each case a log of its own, and frees it, whatever the case has come to', async t => {
  let made = 0
  let disposed = 0
  const closed: boolean[] = []
  const cases = streamLogConformance(async ({ maxEntries }) => {
    made++
    t.ok(maxEntries > 0)
    const log = new MemoryStreamLog({ maxEntries: made === 1 ? maxEntries : 1 })
    return {
      log,
      expire: async () => {},
      dispose: async () => {
        disposed++
        await log.open('a', { owner: 'ada', command: 'count', fingerprint: '', lease: false }).catch(() => { closed.push(true) })
      }
    }
  })
  t.equal(made, 0)
  const outcomes = await Promise.allSettled(cases.map(async ({ run }) => await run()))
  t.ok(outcomes.some(({ status }) => status === 'rejected'))
  t.ok(outcomes.some(({ status }) => status === 'fulfilled'))
  t.equal(made, cases.length)
  t.equal(disposed, cases.length)
  t.equal(closed.length, cases.length)
})
