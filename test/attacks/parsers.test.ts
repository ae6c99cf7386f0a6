import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { Type } from '@sinclair/typebox'
import { createParser } from 'eventsource-parser'
import t from 'tap'
import type { Test } from 'tap'
import { EventSource as UndiciEventSource } from 'undici'
import { MemoryStreamLog, commandRoute, defineCommand, streamRoutes } from '../../index.js'
import type { CommandDefinition, Handler } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import type { Frame } from '../../lib/testing/index.js'
import { createApp, listen } from '../support/app.js'
import { randomFrom } from '../support/random.js'
import { exchange } from './http-client.js'
import { createReplayServer, cut, sentinel } from './replay-server.js'
import type { Parsed } from './replay-server.js'
import { texts } from './tables/texts.js'

const require = createRequire(import.meta.url)

// Neither has types for what is used here: its parser alone, and a class like the browser's.
interface FetchEventSourceParse {
  getLines (onLine: (line: Uint8Array, fieldLength: number) => void): (bytes: Uint8Array) => void
  getMessages (
    onId: (id: string) => void, onRetry: (ms: number) => void, onMessage: (message: { id: string, event: string, data: string }) => void
  ): (line: Uint8Array, fieldLength: number) => void
}
interface EventSourceLike {
  addEventListener (name: string, listener: (event: any) => void): void
  close (): void
}
const { getLines, getMessages } = require('@microsoft/fetch-event-source/lib/cjs/parse.js') as FetchEventSourceParse
const { EventSource: LaunchDarklyEventSource } = require('launchdarkly-eventsource') as { EventSource: new (url: string) => EventSourceLike }

// A seed that is printed: `ATTACK_SEED=… npx tap test/attacks/parsers.test.ts` cuts at the same places.
const seed = Number(process.env['ATTACK_SEED'] ?? Date.now() % 2 ** 31)
const random = randomFrom(seed)

const all = Object.values(texts)
const keyed = all.map(text => Object.fromEntries([[text, [text]]]))
const Nasty = defineCommand({ name: 'nasty', input: Type.Object({}), progress: Type.Any(), result: Type.Any() })
const Named = defineCommand({ name: 'named', input: Type.Object({}), progress: { tick: Type.Any(), 'a.b:c-d_e': Type.Any() } })
const Quiet = defineCommand({ name: 'quiet', input: Type.Object({}), progress: Type.Integer() })
const Regular = defineCommand({ name: 'regular', input: Type.Object({}), result: Type.String() })
const bad = (message: string): Error => Object.assign(new Error(message), { statusCode: 400, code: message })

interface Stream<D extends CommandDefinition = any> {
  readonly definition: D
  readonly handler: Handler<D>
  /** The data of what lies between `start` and the last frame. */
  readonly between: readonly unknown[]
}

const streams: readonly Stream[] = [
  { definition: Nasty, handler: async function * () { yield * all; return all.join('') }, between: all },
  { definition: Nasty, handler: async function * () { yield * keyed; return Object.fromEntries([[all[5], all]]) }, between: keyed },
  { definition: Nasty, handler: async function * () { yield 1; throw bad(all.filter(text => text.length < 1_000).join('')) }, between: [1] },
  { definition: Nasty, handler: async function * () {}, between: [] },
  { definition: Named, handler: async function * () { for (const text of all) yield * [{ event: 'tick', data: text }, { event: 'a.b:c-d_e', data: [text] }] }, between: all.flatMap(text => [text, [text]]) },
  // Silent for as long as a heartbeat takes: nothing in the process says that one was sent.
  { definition: Quiet, handler: async function * () { yield 1; await new Promise(resolve => setTimeout(resolve, 200)); yield 2 }, between: [1, 2] },
  { definition: Regular, handler: async () => all.join('\n\n'), between: [] }
]

/** The streams as this project's server writes them, each in both framings, live and then from the log that has kept them. */
async function record (t: Test): Promise<Array<Stream & { bytes: Buffer }>> {
  const streamLog = new MemoryStreamLog({ maxBytes: 50_000_000 })
  const { app } = await createApp(t, { heartbeatMs: 10, maxFrameBytes: 10_000_000, owner: 'public', streamLog })
  // A definition has one handler, so each stream gets a copy of its own name.
  const copies = streams.map(({ definition: { name, input, progress, result } }, index) => defineCommand({ name: `${name}-${index}`, input, progress, result }))
  for (const [index, { handler }] of streams.entries()) {
    app.mediator.addHandler(copies[index]!, handler as Handler<CommandDefinition>)
    for (const framing of ['event', 'envelope'] as const) {
      app.route(commandRoute(copies[index]!, { url: `/${framing}/${index}`, framing }))
      app.route(commandRoute(copies[index]!, { url: `/kept/${framing}/${index}`, framing, onDisconnect: 'continue' }))
    }
  }
  await app.register(streamRoutes, { prefix: '/streams' })
  const port = await listen(app)
  const recorded = []
  for (const framing of ['event', 'envelope']) {
    for (const [index, stream] of streams.entries()) {
      const { status, body } = await exchange(port, { path: `/${framing}/${index}`, headers: [['accept', 'text/event-stream']], body: '{}' })
      if (status !== 200) throw new Error(`${framing} ${index}: ${body.toString()}`)
      recorded.push({ ...stream, bytes: body })
    }
  }
  for (const framing of ['event', 'envelope']) {
    for (const [index, stream] of streams.entries()) {
      const { body: first } = await exchange(port, { path: `/kept/${framing}/${index}`, headers: [['accept', 'text/event-stream']], body: '{}' })
      const [{ id }] = readFrames(first.toString()) as [Frame]
      const { status, body } = await exchange(port, { method: 'GET', path: `/streams/${id.slice(0, 22)}` })
      if (status !== 200) throw new Error(`kept ${framing} ${index}: ${body.toString()}`)
      recorded.push({ ...stream, bytes: body })
    }
  }
  return recorded
}

const recorded = await record(t)
// A heartbeat is a comment, and no event.
const expected: Parsed[][] = recorded.map(({ bytes }) => readFrames(bytes.toString()).map(({ event = 'message', id, data }) => [event, id, JSON.stringify(data)] as const))
const names = [...new Set([...expected.flat().map(([name]) => name), 'start', 'progress', 'complete', 'failed', 'message', 'forged', 'tick'])]
const server = await createReplayServer(t, recorded.map(({ bytes }) => bytes), names, random)

/** Data as JSON without what its spelling leaves open (escapes); what is no JSON stays as it is. */
function normalized (parsed: readonly Parsed[]): Parsed[] {
  return parsed.map(([name, id, data]) => [name, id, JSON.stringify(JSON.parse(data))])
}

t.comment(`ATTACK_SEED=${seed}`)

t.test('the streams hold what their handlers gave, heartbeats and both framings among them', async t => {
  for (const [index, { between, bytes }] of recorded.entries()) {
    const envelope = Math.floor(index / streams.length) % 2 === 1
    const inner = readFrames(bytes.toString()).slice(1, -1).map(({ data }) => envelope ? data.data : data)
    // Not by tap, which takes a member `__proto__` for the prototype.
    t.ok(isDeepStrictEqual(inner, between), `stream ${index}`)
    t.equal(expected[index]!.length, between.length + 2)
  }
  t.ok(recorded.some(({ bytes }) => bytes.includes('\n\n:\n\n')), 'a heartbeat lies between frames')
  t.ok(expected.flat().length > 300, `${expected.flat().length} events`)
})

t.test('eventsource-parser agrees, wherever the chunks end', async t => {
  for (let round = 0; round < 5; round++) {
    for (const [index, { bytes }] of recorded.entries()) {
      const parsed: Parsed[] = []
      const faults: string[] = []
      const retries: number[] = []
      const parser = createParser({
        onEvent: ({ event = 'message', id = '', data }) => parsed.push([event, id, data]),
        onError: error => faults.push(error.message),
        onRetry: ms => retries.push(ms)
      })
      const decoder = new TextDecoder()
      for (const chunk of cut(Buffer.concat([bytes, Buffer.from(sentinel)]), random)) parser.feed(decoder.decode(chunk, { stream: true }))
      t.strictSame(faults, [])
      t.strictSame(retries, retriesOf(index))
      agree(t, parsed, index)
    }
  }
})

t.test('@microsoft/fetch-event-source agrees, wherever the chunks end', async t => {
  for (let round = 0; round < 5; round++) {
    for (const [index, { bytes }] of recorded.entries()) {
      const parsed: Parsed[] = []
      const retries: number[] = []
      const feed = getLines(getMessages(() => {}, ms => retries.push(ms), ({ event, id, data }) => {
        // It tells of a comment as of a message without anything.
        if (event !== '' || id !== '' || data !== '') parsed.push([event === '' ? 'message' : event, id, data])
      }))
      for (const chunk of cut(Buffer.concat([bytes, Buffer.from(sentinel)]), random)) feed(chunk)
      t.strictSame(retries, retriesOf(index))
      agree(t, parsed, index)
    }
  }
})

for (const [name, EventSource] of [['undici', UndiciEventSource as unknown as typeof LaunchDarklyEventSource], ['launchdarkly-eventsource', LaunchDarklyEventSource]] as const) {
  t.test(`EventSource of ${name} agrees, wherever the chunks end`, async t => {
    for (const index of recorded.keys()) agree(t, await readAll(new EventSource(`${server.origin}/streams/${index}`)), index)
  })
}

const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find(command => spawnSync(command, ['--version']).status === 0)
const chromiumMissing = process.env['CI'] === undefined && chromium === undefined && 'CHROMIUM IS MISSING: install it to compare with EventSource of a browser'

t.test('EventSource of Chromium agrees', { skip: chromiumMissing }, async t => {
  const profile = await mkdtemp(join(tmpdir(), 'chromium-'))
  // Not as root: its sandbox refuses that. Without --disable-dev-shm-usage it fails where /dev/shm is small.
  const browser = spawn(chromium ?? 'chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions',
    '--disable-background-networking', `--user-data-dir=${profile}`, server.origin], { stdio: 'ignore' })
  const exited = new Promise((resolve, reject) => {
    browser.once('exit', resolve)
    browser.once('error', reject)
  })
  t.teardown(async () => {
    browser.kill('SIGKILL')
    await exited
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  })
  const seen = await Promise.race([server.seen, exited.then(() => { throw new Error('Chromium ended before it had read all streams') })])
  t.equal(seen.length, recorded.length)
  for (const [index, parsed] of seen.entries()) agree(t, [...parsed, ['sentinel', 's', 'end']], index)
})

t.test('none of the parsers is made of another', async t => {
  const packages = ['eventsource-parser', 'undici', 'launchdarkly-eventsource', '@microsoft/fetch-event-source']
  for (const name of packages) {
    const { dependencies = {} } = JSON.parse(await readFile(join(import.meta.dirname, '../../node_modules', name, 'package.json'), 'utf8')) as { dependencies?: Record<string, string> }
    t.strictSame(Object.keys(dependencies), [], `${name} has all of its code itself`)
  }
})

// Only what can be read again tells its readers when to come back.
function retriesOf (index: number): number[] {
  return index < 2 * streams.length ? [] : [2_000]
}

function agree (t: Test, parsed: readonly Parsed[], index: number): void {
  const last = parsed.at(-1)
  t.strictSame(last, ['sentinel', 's', 'end'])
  t.strictSame(normalized(parsed.slice(0, -1)), expected[index], `stream ${index}`)
}

async function readAll (source: EventSourceLike): Promise<Parsed[]> {
  const parsed: Parsed[] = []
  for (const name of names) source.addEventListener(name, ({ lastEventId, data }) => parsed.push([name, lastEventId, data]))
  source.addEventListener('error', ({ message }) => parsed.push(['error', '', String(message)]))
  return await new Promise(resolve => {
    source.addEventListener('sentinel', ({ lastEventId, data }) => {
      source.close()
      resolve([...parsed, ['sentinel', lastEventId, data]])
    })
  })
}
