import { isEventName } from '../definition.js'
import { parseFrameId } from '../frame-id.js'
import type { FrameId } from '../frame-id.js'

/** One frame of a stream. */
export interface Frame {
  /** Absent on a route with `framing: 'envelope'`, where the data has a member `type`. */
  readonly event?: string
  /** Empty for the end of one reader, which is none of the stream (R57). */
  readonly id: string
  // A test knows what its schemas make of it.
  readonly data: any
}

/** What `app.inject` resolves, as far as it is needed here. */
export interface InjectedResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

/**
 * Reads the frames of a response of `app.inject`, or of a text, such as `await response.text()` of `fetch`: server-sent events or
 * NDJSON. Heartbeats are left out. The text may be a part of a stream, as long as its frames are whole.
 * @throws Error where the response is no stream, or holds anything that the protocol does not allow
 */
export function readFrames (response: InjectedResponse | string): Frame[] {
  const text = typeof response === 'string' ? response : response.body
  if (typeof text !== 'string') throw new TypeError('readFrames takes a response of app.inject or a text: pass await response.text() of fetch')
  const lines = typeof response === 'string' ? /^\n*(?:\{|$)/.test(text) : isLines(response)
  if (text.includes('\r')) throw new Error('The stream holds a carriage return, which no frame does')
  const frames = lines ? linesOf(text) : eventsOf(text)
  checkIds(frames)
  return frames
}

function isLines ({ statusCode, headers, body }: InjectedResponse): boolean {
  const type = String(headers['content-type'] ?? 'no content type')
  if (/^application\/x-ndjson\s*(?:;|$)/i.test(type)) return true
  if (/^text\/event-stream\s*(?:;|$)/i.test(type)) return false
  throw new Error(`The response is no stream, but ${statusCode} with ${type}: ${shortened(body)}`)
}

// Of what the standard allows only what this project writes: docs/protocol.md, R14.
function eventsOf (text: string): Frame[] {
  const blocks = text.split('\n\n')
  if (blocks.pop() !== '') throw new Error(`The stream does not end with an empty line: ${shortened(text.slice(-80))}`)
  return blocks.filter(block => block !== ':').map(block => {
    const fields = block.split('\n').map(line => {
      const match = /^(event|id|retry|data): (.*)$/s.exec(line)
      if (match === null) throw new Error(`This is no field of a frame: ${shortened(line)}`)
      return [match[1]!, match[2]!] as const
    })
    const names = fields.map(([name]) => name).join(', ')
    if (!/^(?:event, )?(?:id, (?:retry, )?)?data$/.test(names)) throw new Error(`A frame has the fields event, id, data, this one has ${names}: ${shortened(block)}`)
    const { event, id, data } = Object.fromEntries(fields)
    if (event !== undefined) assertEventName(event, block)
    return { ...(event !== undefined && { event }), id: id ?? '', data: parse(data!, block) }
  })
}

// R35: one object a line.
function linesOf (text: string): Frame[] {
  const lines = text.split('\n')
  if (lines.pop() !== '') throw new Error(`The stream does not end with a line break: ${shortened(text.slice(-80))}`)
  return lines.filter(line => line !== '').map(line => {
    const frame = parse(line, line) as Frame | null
    const names = Object.keys(frame ?? {}).join(', ')
    if (!/^event, (?:id, )?data$/.test(names)) throw new Error(`A line has the members event, id, data, this one has ${names}: ${shortened(line)}`)
    assertEventName((frame as Frame).event, line)
    return { ...frame as Frame, id: frame!.id ?? '' }
  })
}

// R19: one stream, counted without gaps, and nothing after its end.
function checkIds (frames: readonly Frame[]): void {
  let last: FrameId | undefined
  for (const [index, { id, data }] of frames.entries()) {
    if (id === '') {
      if (index < frames.length - 1 || !Number.isInteger((data as { status?: unknown } | null)?.status)) throw new Error('A frame that does not end its reader has no id')
      return
    }
    const next = frameIdOf(id)
    if (last !== undefined) {
      if (next.streamId !== last.streamId) throw new Error(`The frame ${id} is of another stream than those before it`)
      if (last.terminal) throw new Error(`The frame ${id} follows the last one`)
      if (next.attempt === last.attempt && next.seq !== last.seq + 1) throw new Error(`The frame ${id} follows number ${last.seq}`)
    }
    last = next
  }
}

function frameIdOf (id: unknown): FrameId {
  try {
    return parseFrameId(String(id))
  } catch {
    throw new Error(`This is no id of a frame: ${shortened(String(id))}`)
  }
}

function assertEventName (name: unknown, frame: string): void {
  if (!isEventName(name)) throw new Error(`This frame has no event name: ${shortened(frame)}`)
}

function parse (json: string, frame: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    throw new Error(`This frame holds no JSON: ${shortened(frame)}`)
  }
}

function shortened (text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
