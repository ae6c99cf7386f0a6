import type { EventEmitter } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import type { IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2'
import { connect } from 'node:net'
import { EventSource as PolyfilledEventSource } from 'eventsource'
import { Agent, EventSource as UndiciEventSource, fetch } from 'undici'
import { readFrames } from '../../lib/testing/index.js'

/** An event as a client was told of it. */
export interface Arrived {
  readonly event: string
  readonly id: string
  readonly data: unknown
}

/** Reads a stream to its end and comes back whenever it is cut, until it is told that there is no more. */
export type ResumingClient = (port: number, path: string) => Promise<Arrived[]>

const events = ['start', 'progress', 'complete', 'failed']

async function readByEventSource (source: PolyfilledEventSource | UndiciEventSource): Promise<Arrived[]> {
  const arrived: Arrived[] = []
  for (const type of events) {
    source.addEventListener(type, event => {
      const { data, lastEventId } = event as unknown as MessageEvent
      arrived.push({ event: type, id: lastEventId, data: JSON.parse(data) })
    })
  }
  // It comes back after the end as well, with the terminal's id, and gives up for good.
  await new Promise<void>(resolve => {
    source.addEventListener('error', () => { if (source.readyState === 2) resolve() })
  })
  return arrived
}

/** The package eventsource. */
export const readByPolyfill: ResumingClient = async (port, path) => {
  const dispatcher = new Agent()
  const source = new PolyfilledEventSource(`http://127.0.0.1:${port}${path}`, {
    fetch: async (url, init) => await fetch(url, { ...init, dispatcher }) as unknown as Response
  })
  const arrived = await readByEventSource(source)
  await dispatcher.destroy()
  return arrived
}

/** The EventSource of undici, which Node has as well. */
export const readByUndici: ResumingClient = async (port, path) => {
  const dispatcher = new Agent()
  const arrived = await readByEventSource(new UndiciEventSource(`http://127.0.0.1:${port}${path}`, { node: { dispatcher, reconnectionTime: 2 } }))
  await dispatcher.destroy()
  return arrived
}

/** What one connection brought. */
export interface Part {
  readonly status: number | undefined
  readonly body: Buffer
}

/** An answer that is no stream. */
export class Refusal extends Error {
  readonly status: number
  readonly code: string | undefined

  constructor (status: number, body: string) {
    super(`answered ${status}: ${body}`)
    this.status = status
    this.code = (JSON.parse(body) as { code?: string }).code
  }
}

/** Reads a stream to its end, by a function that reads one response or a part of it. */
export async function readByParts (read: (lastEventId: string | undefined) => Promise<Part>): Promise<Arrived[]> {
  const arrived: Arrived[] = []
  for (;;) {
    const { status, body } = await read(arrived.at(-1)?.id)
    if (status === 204) return arrived
    if (status !== undefined && status !== 200) throw new Refusal(status, body.toString())
    // Of a frame that was cut nothing counts.
    const whole = body.subarray(0, body.lastIndexOf('\n\n') + 2).toString()
    if (body.includes('\n\n')) arrived.push(...readFrames(whole) as Arrived[])
  }
}

/** HTTP/1.1 by hand. */
export const readByHand: ResumingClient = async (port, path) => await readByParts(async lastEventId => await readOnce(port, path, lastEventId))

/** Reads one response, or so many of its bytes, on a connection of its own. */
export async function readOnce (port: number, path: string, lastEventId: string | undefined, most = Infinity): Promise<Part> {
  const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {})
  const chunks: Buffer[] = []
  let length = 0
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    if (length >= most) socket.resetAndDestroy()
  })
  const id = lastEventId === undefined ? '' : `last-event-id: ${lastEventId}\r\n`
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nconnection: close\r\n${id}\r\n`)
  await closed(socket)
  return partOf(Buffer.concat(chunks).subarray(0, most))
}

/** HTTP/2, a session each time. */
export const readByHttp2: ResumingClient = async (port, path) => await readByParts(async lastEventId => await readOnceByHttp2(port, path, lastEventId))

/** Reads one response, or so many of its bytes, in a session of its own, which it destroys then. */
export async function readOnceByHttp2 (port: number, path: string, lastEventId: string | undefined, most = Infinity): Promise<Part> {
  const session = connectHttp2(`http://127.0.0.1:${port}`).on('error', () => {})
  const stream = session.request({ ':path': path, accept: 'text/event-stream', ...lastEventId !== undefined && { 'last-event-id': lastEventId } })
  const chunks: Buffer[] = []
  let length = 0
  let status: number | undefined
  stream.on('error', () => {})
  stream.on('response', (headers: IncomingHttpHeaders & IncomingHttpStatusHeader) => { status = headers[':status'] })
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    if (length >= most) session.destroy()
  })
  await closed(stream)
  session.destroy()
  return { status, body: Buffer.concat(chunks).subarray(0, most) }
}

/** The three that speak HTTP/1.1. */
export const clients = { eventsource: readByPolyfill, undici: readByUndici, 'raw HTTP': readByHand } as const

// `once` of node:events would reject with the error before it.
async function closed (emitter: EventEmitter): Promise<void> {
  await new Promise<void>(resolve => { emitter.once('close', resolve) })
}

/** What has arrived of a response. */
export function partOf (response: Buffer): Part {
  const headLength = response.indexOf('\r\n\r\n') + 4
  if (headLength === 3) return { status: undefined, body: Buffer.alloc(0) }
  const head = response.toString('latin1', 0, headLength)
  const rest = response.subarray(headLength)
  return { status: Number(head.slice(9, 12)), body: /\r\ntransfer-encoding: chunked\r\n/i.test(head) ? unchunked(rest) : rest }
}

function unchunked (body: Buffer): Buffer {
  const chunks: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const start = body.indexOf('\r\n', at) + 2
    if (start === 1) break
    const length = Number.parseInt(body.toString('latin1', at, start), 16)
    chunks.push(body.subarray(start, start + length))
    at = start + length + 2
  }
  return Buffer.concat(chunks)
}
