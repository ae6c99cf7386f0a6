import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Session } from 'node:http2'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import streamingMediator, { commandRoute, defineEvent, defineQuery } from '../../index.js'
import type { StreamEnd } from '../../index.js'
import { createLog } from '../support/app.js'
import type { LogLine } from '../support/app.js'

/** Where a stream is when its client leaves. */
export const phases = ['hook', 'commit', 'signal', 'deaf', 'blocked', 'between', 'events', 'last frame', 'json'] as const
export type Phase = typeof phases[number]

/** Over which protocol the client leaves, and how. */
export const ways = ['1.1 RST', '1.1 FIN', '2 cancel', '2 destroy', '2 RST'] as const
export type Way = typeof ways[number]

export type Method = 'GET' | 'POST'

/** What is known on the server's side of one request. */
export interface Trial {
  readonly id: number
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** How many listeners its request, response and socket had before the command route saw it. */
  readonly listeners: string
  started: boolean
  yields: number
  /** When its client left. */
  leftAt: number | undefined
  finallyAt: number | undefined
  ends: StreamEnd[]
}

const Leave = defineQuery({
  name: 'leave',
  input: Type.Object({ id: Type.Integer(), phase: Type.String() }),
  progress: Type.Object({ n: Type.Integer(), text: Type.Optional(Type.String()) }),
  result: Type.Object({ text: Type.String() })
})
const Emitted = defineEvent({ name: 'emitted', payload: Type.Object({}) })

/** An app over both protocols whose one handler is in the phase that its client asks for. */
export class Subject {
  readonly trials = new Map<number, Trial>()
  readonly streamsOf = new Map<string, Trial>()
  readonly logs: LogLine[]
  readonly apps: FastifyInstance[] = []
  #sessions = 0
  readonly #logger: object
  readonly #ports: number[] = []
  /** What the deaf handlers, and the event handlers, wait for. */
  gate: Promise<void> = Promise.resolve()

  constructor () {
    const { logs, logger } = createLog()
    this.logs = logs
    this.#logger = { ...logger, level: 'info' }
  }

  async start (): Promise<this> {
    this.apps.push(Fastify({ logger: this.#logger }), Fastify({ logger: this.#logger, http2: true }) as unknown as FastifyInstance)
    this.apps[1]!.server.on('session', (session: ServerHttp2Session) => {
      this.#sessions++
      session.once('close', () => { this.#sessions-- })
    })
    for (const app of this.apps) this.#ports.push(await this.#startApp(app))
    return this
  }

  async #startApp (app: FastifyInstance): Promise<number> {
    await app.register(streamingMediator, {
      closeGraceMs: 0,
      commitAfterMs: 30_000,
      maxFrameBytes: 2 ** 26,
      maxStreamMs: 60_000,
      maxConcurrentEventHandlers: 10_000,
      owner: () => 'one',
      maxStreamsPerOwner: 10_000
    })
    app.mediator.onStreamEnd(end => this.streamsOf.get(end.streamId)!.ends.push(end))
    app.mediator.addEventHandler(Emitted, async () => { await this.gate })
    const trialOf = (id: number): Trial => this.trials.get(id)!
    const streamsOf = this.streamsOf
    const gate = (): Promise<void> => this.gate
    app.mediator.addHandler(Leave, async function * ({ id, phase }, { emit, signal, streamId }) {
      const trial = trialOf(id)
      trial.started = true
      streamsOf.set(streamId, trial)
      try {
        if (phase === 'commit') await once(signal, 'abort')
        yield { n: ++trial.yields }
        if (phase === 'signal' || phase === 'json') await once(signal, 'abort')
        if (phase === 'deaf') await gate()
        if (phase === 'blocked') for (;;) yield { n: ++trial.yields, text: 'x'.repeat(50_000) }
        if (phase === 'between') {
          for (;;) {
            await turn()
            yield { n: ++trial.yields }
          }
        }
        if (phase === 'events') emit(Emitted, {})
        // More than the buffers of two sockets hold.
        return { text: phase === 'last frame' ? 'x'.repeat(16_000_000) : 'x' }
      } finally {
        trial.finallyAt = performance.now()
      }
    })
    const onRequest = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      const id = Number(request.headers['x-id'])
      const listeners = listenersOf(request, reply)
      this.trials.set(id, { id, request, reply, listeners, started: false, yields: 0, leftAt: undefined, finallyAt: undefined, ends: [] })
    }
    const preHandler = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      if (request.headers['x-phase'] === 'hook') await once(reply.raw, 'close')
    }
    for (const method of ['GET', 'POST'] as const) app.route(commandRoute(Leave, { url: '/leave', method, onRequest, preHandler }))
    await app.listen({ port: 0, host: '127.0.0.1' })
    return (app.server.address() as AddressInfo).port
  }

  /** Sends a request that leaves in the given way. */
  send (id: number, phase: Phase, way: Way, method: Method): Leaver {
    const [port1, port2] = this.#ports as [number, number]
    return way.startsWith('1.1') ? new Http1Leaver(port1, id, phase, way, method) : new Http2Leaver(port2, id, phase, way, method)
  }

  /** Resolves with the trial when its request is where its client wants to leave. */
  async reached (id: number, phase: Phase): Promise<Trial> {
    let trial: Trial | undefined
    while ((trial = this.trials.get(id)) === undefined) await turn()
    if (phase === 'hook') return trial
    while (!trial.started) await turn()
    const response = trial.reply.raw as { writableNeedDrain: boolean, writableLength: number }
    if (phase === 'events') while (trial.finallyAt === undefined) await turn()
    if (phase === 'last frame') while (trial.finallyAt === undefined || response.writableLength === 0) await turn()
    if (phase === 'signal' || phase === 'deaf') while (trial.yields === 0) await turn()
    if (phase === 'between') while (trial.yields < 1 + id % 5) await turn()
    if (phase === 'blocked') {
      // Nobody tells when the buffers of two sockets are full: the handler is not asked for a while.
      for (let still = 0, before = 0; still < 3;) {
        await new Promise(resolve => { setTimeout(resolve, 3) })
        still = trial.yields > 1 && trial.yields === before ? still + 1 : 0
        before = trial.yields
      }
    }
    return trial
  }

  /** How many streams, handlers and events there are, in both apps. */
  get open (): number {
    return this.apps.reduce((sum, { mediator }) => sum + Object.values(mediator.stats()).reduce((a, b) => a + b), 0)
  }

  get detached (): number {
    return this.apps.reduce((sum, { mediator }) => sum + mediator.stats().detachedHandlers, 0)
  }

  /** Resolves when the sessions of HTTP/2 have closed: until then a timer watches over them. */
  async disconnected (): Promise<void> {
    while (this.#sessions > 0) await turn()
  }

  async close (): Promise<void> {
    await Promise.all(this.apps.map(async app => await app.close()))
  }
}

/** How many listeners there are, by what has them: those that the project could have left. */
export function listenersOf ({ raw: request }: FastifyRequest, { raw: response }: FastifyReply): string {
  const count = (emitter: NodeJS.EventEmitter, ...events: string[]): string => events.map(event => `${event} ${emitter.listenerCount(event)}`).join(', ')
  return `request: ${count(request, 'close', 'aborted', 'error')}; response: ${count(response, 'drain')}`
}

/** A client that leaves. */
export interface Leaver {
  leave (): void
  closed (): Promise<unknown>
}

class Http1Leaver implements Leaver {
  readonly #socket: Socket
  readonly #way: Way

  constructor (port: number, id: number, phase: Phase, way: Way, method: Method) {
    this.#way = way
    this.#socket = connect(port, '127.0.0.1').on('error', () => {})
    if (phase === 'blocked' || phase === 'last frame') this.#socket.pause()
    else this.#socket.resume()
    const body = method === 'POST' ? JSON.stringify({ id, phase }) : ''
    const head = Object.entries(headersOf(id, phase, method)).map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const length = method === 'POST' ? `content-length: ${body.length}\r\n` : ''
    this.#socket.write(`${method} ${pathOf(id, phase, method)} HTTP/1.1\r\nhost: localhost\r\n${head}${length}\r\n${body}`)
  }

  leave (): void {
    if (this.#way === '1.1 RST') this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  async closed (): Promise<void> {
    if (!this.#socket.closed) await once(this.#socket, 'close')
  }
}

class Http2Leaver implements Leaver {
  readonly #way: Way
  readonly #session: ClientHttp2Session
  readonly #stream: ClientHttp2Stream
  readonly #socket: Socket

  constructor (port: number, id: number, phase: Phase, way: Way, method: Method) {
    this.#way = way
    this.#socket = connect(port, '127.0.0.1').on('error', () => {})
    this.#session = connectHttp2(`http://127.0.0.1:${port}`, { createConnection: () => this.#socket }).on('error', () => {})
    this.#stream = this.#session.request({ ':method': method, ':path': pathOf(id, phase, method), ...headersOf(id, phase, method) }, { endStream: method === 'GET' })
    this.#stream.on('error', () => {})
    if (phase !== 'blocked' && phase !== 'last frame') this.#stream.resume()
    if (method === 'POST') this.#stream.end(JSON.stringify({ id, phase }))
  }

  leave (): void {
    if (this.#way === '2 cancel') this.#stream.close(constants.NGHTTP2_CANCEL)
    else if (this.#way === '2 destroy') this.#session.destroy()
    else this.#socket.resetAndDestroy()
  }

  async closed (): Promise<void> {
    if (this.#way === '2 cancel') this.#session.destroy()
    if (!this.#socket.closed) await once(this.#socket, 'close')
  }
}

function pathOf (id: number, phase: Phase, method: Method): string {
  return method === 'GET' ? `/leave?id=${id}&phase=${encodeURIComponent(phase)}` : '/leave'
}

function headersOf (id: number, phase: Phase, method: Method): Record<string, string> {
  return {
    'x-id': String(id),
    'x-phase': phase,
    ...(phase === 'json' && { accept: 'application/json' }),
    ...(method === 'POST' && { 'content-type': 'application/json' })
  }
}
