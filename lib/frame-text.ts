import { formatSeq } from './frame-id.js'
import type { FrameStyle } from './frame-style.js'
import type { LogEntry } from './stream-log.js'

/** How frames are written: server-sent events (WHATWG HTML §9.2) or one JSON object a line. */
export type FrameFormat = 'sse' | 'ndjson'

/** What becomes a frame's text. */
export type FrameParts = Pick<LogEntry, 'seq' | 'attempt' | 'event' | 'data'>

/** How long a client waits before it comes back to a stream that can be read again, in milliseconds. */
const retryMs = 2_000

/** What stands around the number and the data of a frame. */
interface FrameShape {
  head (name: string, streamId: string): string
  readonly middle: string
  readonly tail: string
}

const event: FrameShape = { head: (name, streamId) => `event: ${name}\nid: ${streamId}.`, middle: '\ndata: ', tail: '\n\n' }
const unnamedEvent: FrameShape = { ...event, head: (_name, streamId) => `id: ${streamId}.` }
const line: FrameShape = { head: (name, streamId) => `{"event":"${name}","id":"${streamId}.`, middle: '","data":', tail: '}\n' }

/** Writes the frames of one stream as text, each by itself. */
export class FrameText {
  /** What is written while nothing happens: a comment, an empty line. Neither is a frame. */
  readonly heartbeat: string
  readonly #streamId: string
  readonly #names: FrameStyle['names']
  readonly #isEnvelope: boolean
  readonly #shape: FrameShape
  readonly #retry: boolean
  // That of the event written last: most frames of a stream differ in their number and data alone.
  #event: string | undefined
  #head = ''

  constructor (streamId: string, format: FrameFormat, { framing, names }: FrameStyle, { retry = false } = {}) {
    this.#streamId = streamId
    this.#names = names
    // An envelope is for EventSource.onmessage; a line of NDJSON always has its type beside its data.
    this.#isEnvelope = format === 'sse' && framing === 'envelope'
    this.#shape = format === 'ndjson' ? line : this.#isEnvelope ? unnamedEvent : event
    this.#retry = retry && format === 'sse'
    this.heartbeat = format === 'ndjson' ? '\n' : ':\n\n'
  }

  write ({ seq, attempt, event, data }: FrameParts): string {
    if (event !== this.#event) {
      this.#event = event
      this.#head = this.#shape.head(this.nameOf(event), this.#streamId)
    }
    const { middle, tail } = this.#shape
    const head = this.#head + formatSeq(seq, attempt, event === 'complete' || event === 'failed')
    const retry = this.#retry && event === 'start' ? `\nretry: ${retryMs}` : ''
    return head + retry + middle + (this.#isEnvelope ? enveloped(event, this.nameOf(event), data) : data) + tail
  }

  /** The end of one reader, which is none of the stream: it has no id. */
  writeReadersEnd (data: string): string {
    const name = this.nameOf('failed')
    if (this.#shape === line) return `{"event":"${name}","data":${data}}\n`
    return this.#isEnvelope ? `data: ${enveloped('failed', name, data)}\n\n` : `event: ${name}\ndata: ${data}\n\n`
  }

  /** How a route's clients know an event. */
  nameOf (event: string): string {
    return Object.hasOwn(this.#names, event) ? this.#names[event as keyof FrameStyle['names']] : event
  }
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
