import { formatFrameId } from './frame-id.js'
import type { FrameStyle } from './frame-style.js'
import type { LogEntry } from './stream-log.js'

/** How frames are written: server-sent events (WHATWG HTML §9.2) or one JSON object a line. */
export type FrameFormat = 'sse' | 'ndjson'

/** What becomes a frame's text. */
export type FrameParts = Pick<LogEntry, 'seq' | 'attempt' | 'event' | 'data'>

/** How long a client waits before it comes back to a stream that can be read again, in milliseconds. */
const retryMs = 2_000

/** Writes the frames of one stream as text, each by itself. */
export class FrameText {
  /** What is written while nothing happens: a comment, an empty line. Neither is a frame. */
  readonly heartbeat: string
  readonly #streamId: string
  readonly #names: FrameStyle['names']
  readonly #isEnvelope: boolean
  readonly #format: (name: string, id: string, data: string) => string
  readonly #retry: boolean

  constructor (streamId: string, format: FrameFormat, { framing, names }: FrameStyle, { retry = false } = {}) {
    this.#streamId = streamId
    this.#names = names
    // An envelope is for EventSource.onmessage; a line of NDJSON always has its type beside its data.
    this.#isEnvelope = format === 'sse' && framing === 'envelope'
    this.#format = format === 'ndjson' ? formatLine : this.#isEnvelope ? formatUnnamedEvent : formatEvent
    this.#retry = retry && format === 'sse'
    this.heartbeat = format === 'ndjson' ? '\n' : ':\n\n'
  }

  write ({ seq, attempt, event, data }: FrameParts): string {
    const name = this.nameOf(event)
    const end = event === 'complete' || event === 'failed'
    const id = formatFrameId(this.#streamId, seq, attempt, end)
    const text = this.#format(name, id, this.#isEnvelope ? enveloped(event, name, data) : data)
    return this.#retry && event === 'start' ? text.replace('\ndata: ', `\nretry: ${retryMs}\ndata: `) : text
  }

  /** The end of one reader, which is none of the stream: it has no id. */
  writeReadersEnd (data: string): string {
    const name = this.nameOf('failed')
    if (this.#format === formatLine) return `{"event":"${name}","data":${data}}\n`
    return this.#isEnvelope ? `data: ${enveloped('failed', name, data)}\n\n` : `event: ${name}\ndata: ${data}\n\n`
  }

  /** How a route's clients know an event. */
  nameOf (event: string): string {
    return Object.hasOwn(this.#names, event) ? this.#names[event as keyof FrameStyle['names']] : event
  }
}

function formatEvent (name: string, id: string, data: string): string {
  return `event: ${name}\nid: ${id}\ndata: ${data}\n\n`
}

function formatUnnamedEvent (_name: string, id: string, data: string): string {
  return `id: ${id}\ndata: ${data}\n\n`
}

function formatLine (name: string, id: string, data: string): string {
  return `{"event":"${name}","id":"${id}","data":${data}}\n`
}

// The members of `start`, `complete` and `failed` stand beside the type, as the clients of python-cqrs expect them.
function enveloped (event: string, name: string, data: string): string {
  if (event === 'complete') return envelopedResult(name, data)
  if (event !== 'start' && event !== 'failed') return `{"type":"${name}","data":${data}}`
  const members = JSON.parse(data) as { detail?: string, title?: string }
  const message = event === 'failed' ? { message: members.detail ?? members.title } : {}
  return JSON.stringify(Object.assign({ type: name }, members, message, { type: name }))
}

// By text, because a result may hold numbers that JSON.parse would change.
function envelopedResult (name: string, data: string): string {
  const members: unknown = JSON.parse(data)
  if (members === null || typeof members !== 'object' || Array.isArray(members) || 'type' in members) return `{"type":"${name}","data":${data}}`
  const type = `{"type":"${name}"`
  return Object.keys(members).length === 0 ? `${type}}` : `${type},${data.slice(data.indexOf('{') + 1)}`
}
