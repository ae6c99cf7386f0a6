// Run by storm.test.ts in a process of its own, with --expose-gc. Prints one line of JSON.
import { connect as connectHttp2, constants } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import streamingMediator, { commandRoute, defineEvent, defineQuery } from '../../index.js'
import { watchTimers } from './live-timers.js'
import { randomFrom } from '../support/random.js'

/** What a storm left behind. */
export interface StormReport {
  readonly disconnects: number
  readonly ms: number
  /** How often each end reason was told. */
  readonly reasons: Record<string, number>
  readonly started: number
  /** Streams that were told of more than once, or never. */
  readonly miscounted: number
  /** How often each stage was reached. */
  readonly stages: Record<string, number>
  readonly stats: object
  readonly timers: number
  readonly connections: number
  /** Responses that are still reachable once their clients have left. */
  readonly responses: number
  /** Of the servers and the process: those that grew. */
  readonly listeners: Record<string, [before: number, after: number]>
  /** In bytes, after each batch. */
  readonly heap: readonly number[]
  readonly warnings: readonly string[]
}

const timers = watchTimers()
const { SEED: seed = '1', DISCONNECTS: total = '10000' } = process.env
const batches = 10
const perBatch = Math.ceil(Number(total) / batches)
// How many clients are there at once.
const width = 100
// Node's timer keeps a session for that long after its end.
const sessionMs = 200

const Storm = defineQuery({
  name: 'storm',
  input: Type.Object({ kind: Type.String() }),
  progress: Type.Object({ n: Type.Integer(), text: Type.Optional(Type.String()) }),
  result: Type.Object({ total: Type.Integer() })
})
const Emitted = defineEvent({ name: 'emitted', payload: Type.Object({}) })

const warnings: string[] = []
process.on('warning', warning => warnings.push(String(warning)))
const stream = { write (line: string) { warnings.push(line) } }
const apps = [
  Fastify({ logger: { level: 'warn', stream } }),
  Fastify({ logger: { level: 'warn', stream }, http2: true, http2SessionTimeout: sessionMs }) as unknown as FastifyInstance
]
const reasons: Record<string, number> = {}
const ended = new Map<string, number>()
let responses: Array<WeakRef<object>> = []
let miscounted = 0
let started = 0
const ports: number[] = []
for (const app of apps) {
  // Node reads no HTTP/2 connection while a write to it waits, and is not always told when such a connection is reset: what is left is the
  // patience with clients that do not read.
  const stallTimeoutMs = app === apps[0] ? 600_000 : 3_000
  await app.register(streamingMediator, { commitAfterMs: 5, maxStreamMs: 600_000, stallTimeoutMs, owner: () => 'one', maxStreamsPerOwner: 10_000, maxConcurrentEventHandlers: 100 })
  app.mediator.onStreamEnd(({ streamId, reason }) => {
    reasons[reason] = (reasons[reason] ?? 0) + 1
    ended.set(streamId, ended.get(streamId)! + 1)
  })
  app.mediator.addEventHandler(Emitted, async () => { await sleep(2) })
  app.mediator.addHandler(Storm, async function * ({ kind }, { emit, signal, streamId }) {
    started++
    ended.set(streamId, 0)
    if (kind === 'late') await sleep(8, undefined, { signal })
    if (kind === 'refused') throw Object.assign(new Error('No'), { statusCode: 409 })
    yield { n: 1 }
    if (kind === 'waiting') await sleep(60_000, undefined, { signal })
    // Its `finally` waits for its timer: it does not listen.
    if (kind === 'deaf') await sleep(3)
    if (kind === 'events') emit(Emitted, {})
    if (kind === 'blocked') for (let n = 2; ; n++) yield { n, text: 'x'.repeat(100_000) }
    if (kind === 'busy') {
      for (let n = 2; ; n++) {
        await turn()
        yield { n }
      }
    }
    return { total: 1 }
  })
  for (const method of ['GET', 'POST'] as const) {
    app.route(commandRoute(Storm, {
      url: '/storm',
      method,
      onRequest: async (_request, reply) => { responses.push(new WeakRef(reply.raw)) },
      preHandler: async ({ headers }) => { if (headers['x-hook'] !== undefined) await turn() }
    }))
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  ports.push((app.server.address() as AddressInfo).port)
}

const random = randomFrom(Number(seed))
const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!
const kinds = ['late', 'refused', 'waiting', 'waiting', 'deaf', 'events', 'busy', 'short']
const stages: Record<string, number> = {}

/** What one client does, decided before anything happens. */
interface Plan {
  readonly kind: string
  readonly method: 'GET' | 'POST'
  readonly hook: boolean
  readonly accept: string
  readonly stage: 'sent' | 'answered'
  readonly turns: number
  readonly resets: boolean
}

function plan (): Plan {
  return {
    // Those cost megabytes each.
    kind: random() < 0.01 ? 'blocked' : pick(kinds),
    method: pick(['GET', 'POST'] as const),
    hook: random() < 0.2,
    accept: pick(['text/event-stream', 'text/event-stream', 'application/x-ndjson', 'application/json']),
    stage: pick(['sent', 'answered'] as const),
    turns: Math.floor(random() ** 3 * 20),
    resets: random() < 0.5
  }
}

async function untilLeaving (plan: Plan, answered: Promise<unknown>): Promise<void> {
  // A JSON answer comes at the end of what has one.
  if (plan.stage === 'answered' && !(plan.accept === 'application/json' && ['waiting', 'busy', 'blocked'].includes(plan.kind))) await answered
  for (let turns = plan.turns; turns > 0; turns--) await turn()
  const stage = `${plan.stage} ${plan.kind}`
  stages[stage] = (stages[stage] ?? 0) + 1
}

function headersOf ({ method, hook, accept }: Plan): Record<string, string> {
  return { accept, ...(hook && { 'x-hook': '1' }), ...(method === 'POST' && { 'content-type': 'application/json' }) }
}

async function leaveHttp1 (plan: Plan): Promise<void> {
  const socket = connect(ports[0]!, '127.0.0.1')
  const closed = new Promise<void>(resolve => { socket.once('close', resolve) })
  const answered = new Promise<void>(resolve => { socket.once('data', () => resolve()).once('close', () => resolve()) })
  socket.on('error', () => {})
  if (plan.kind === 'blocked') socket.once('data', () => socket.pause())
  const body = plan.method === 'POST' ? JSON.stringify({ kind: plan.kind }) : ''
  const head = Object.entries(headersOf(plan)).map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const target = plan.method === 'POST' ? '/storm' : `/storm?kind=${plan.kind}`
  socket.write(`${plan.method} ${target} HTTP/1.1\r\nhost: x\r\n${head}${body === '' ? '' : `content-length: ${body.length}\r\n`}\r\n${body}`)
  await untilLeaving(plan, answered)
  if (plan.resets) socket.resetAndDestroy()
  else socket.destroy()
  await closed
}

// Some streams of one session leave alone; those that are left go with the session.
async function leaveHttp2 (plans: readonly Plan[], code: number): Promise<void> {
  const session: ClientHttp2Session = connectHttp2(`http://127.0.0.1:${ports[1]}`)
  session.on('error', () => {})
  const closed = new Promise<void>(resolve => { session.once('close', resolve) })
  await Promise.all(plans.map(async plan => {
    const target = plan.method === 'POST' ? '/storm' : `/storm?kind=${plan.kind}`
    const request: ClientHttp2Stream = session.request({ ':method': plan.method, ':path': target, ...headersOf(plan) }, { endStream: plan.method === 'GET' })
    const answered = new Promise<void>(resolve => { request.once('response', () => resolve()).once('close', () => resolve()) })
    request.on('error', () => {})
    if (plan.kind !== 'blocked') request.resume()
    if (plan.method === 'POST') request.end(JSON.stringify({ kind: plan.kind }))
    await untilLeaving(plan, answered)
    if (plan.resets) request.close(constants.NGHTTP2_CANCEL)
  }))
  // Node's client does not always reset the socket that its session has: what is sent here is a GOAWAY, and then FIN.
  session.destroy(undefined, code)
  await closed
}

async function worker (tickets: { left: number }): Promise<void> {
  while (tickets.left > 0) {
    if (random() < 0.9) {
      tickets.left--
      await leaveHttp1(plan())
    } else {
      const plans = Array.from({ length: Math.min(tickets.left, 1 + Math.floor(random() * 12)) }, plan)
      tickets.left -= plans.length
      await leaveHttp2(plans, pick([constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_INTERNAL_ERROR]))
    }
  }
}

const connectionsOf = async (app: FastifyInstance): Promise<number> =>
  await new Promise((resolve, reject) => { app.server.getConnections((error, count) => error ? reject(error) : resolve(count)) })
const connections = async (): Promise<number> => (await Promise.all(apps.map(connectionsOf))).reduce((a, b) => a + b)
const open = (): number => apps.reduce((sum, { mediator }) => sum + Object.values(mediator.stats()).reduce((a, b) => a + b), 0)

const emitters = { process, 'HTTP/1.1 server': apps[0]!.server, 'HTTP/2 server': apps[1]!.server }
const countListeners = (): Record<string, number> => Object.fromEntries(Object.entries(emitters).flatMap(([name, emitter]) =>
  emitter.eventNames().map(event => [`${name} ${String(event)}`, emitter.listenerCount(event as string)])))

const heap: number[] = []
let listenersBefore: Record<string, number> = {}
let disconnects = 0
const startedAt = performance.now()
for (let batch = 0; batch < batches; batch++) {
  const tickets = { left: perBatch }
  disconnects += perBatch
  await Promise.all(Array.from({ length: width }, async () => await worker(tickets)))
  while (open() > 0 || timers.size > 0 || await connections() > 0) await sleep(5)
  await sleep(sessionMs + 50)
  globalThis.gc!()
  await turn()
  miscounted += Array.from(ended.values()).filter(times => times !== 1).length
  ended.clear()
  // What a generation of the collector leaves goes with the next one.
  responses = responses.filter(response => response.deref() !== undefined)
  await turn()
  globalThis.gc!()
  heap.push(process.memoryUsage().heapUsed)
  if (batch === 0) listenersBefore = countListeners()
}
const ms = performance.now() - startedAt
const listenersAfter = countListeners()

const report: StormReport = {
  disconnects,
  ms: Math.round(ms),
  reasons,
  started,
  miscounted,
  stages,
  stats: apps.map(({ mediator }) => mediator.stats()),
  timers: timers.size,
  connections: await connections(),
  responses: responses.length,
  listeners: Object.fromEntries(Object.entries(listenersAfter).filter(([name, count]) => count > (listenersBefore[name] ?? 0))
    .map(([name, count]) => [name, [listenersBefore[name] ?? 0, count] as [number, number]])),
  heap,
  warnings: warnings.slice(0, 10)
}
await Promise.all(apps.map(async app => await app.close()))
console.log(JSON.stringify(report))
