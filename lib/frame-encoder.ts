import { serializersOf, isEventName } from './definition.js'
import type { CommandDefinition, OutputSerializers } from './definition.js'
import { FrameTooLargeError, InvalidOptionsError, InvalidOutputError } from './errors.js'
import type { Problem } from './problem.js'

/** How frames are written: server-sent events (WHATWG HTML §9.2) or one JSON object a line. */
export type FrameFormat = 'sse' | 'ndjson'

/**
 * How a server-sent event carries its type: as its `event` field, or inside its data as `{ "type": … }` for clients that
 * only listen to `message`.
 */
export type Framing = 'event' | 'envelope'

/** Other names for the events of a stream. */
export interface EventNames {
  readonly start?: string
  readonly progress?: string
  readonly complete?: string
  readonly failed?: string
}

/** What a stream's frames look like, checked once for a route. */
export interface FrameStyle {
  readonly framing: Framing
  readonly names: Required<EventNames>
}

const defaultNames = { start: 'start', progress: 'progress', complete: 'complete', failed: 'failed' } as const

/** Completes and checks how a definition's frames are named. @throws MEDIATOR_ERR_INVALID_OPTIONS */
export function frameStyle (definition: CommandDefinition, framing: Framing = 'event', given: EventNames = {}): FrameStyle {
  const subject = `"${definition.name}" route`
  if (framing !== 'event' && framing !== 'envelope') throw new InvalidOptionsError(subject, "framing must be 'event' or 'envelope'")
  const unknown = Object.keys(given).find(key => !Object.hasOwn(defaultNames, key))
  if (unknown !== undefined) throw new InvalidOptionsError(subject, `eventNames has no ${unknown}`)
  const names = { ...defaultNames, ...Object.fromEntries(Object.entries(given).filter(([, name]) => name !== undefined)) }
  const { progressNames } = serializersOf(definition)
  if (progressNames.length > 0 && given.progress !== undefined) {
    throw new InvalidOptionsError(subject, 'eventNames.progress has no effect, because the definition names its progress events itself')
  }
  const all = [names.start, names.complete, names.failed, ...(progressNames.length > 0 ? progressNames : [names.progress])]
  const malformed = all.find(name => !isEventName(name))
  if (malformed !== undefined) throw new InvalidOptionsError(subject, `eventNames holds "${malformed}", which is no event name`)
  if (new Set(all).size < all.length) throw new InvalidOptionsError(subject, 'eventNames gives two events one name')
  return { framing, names }
}

/** What is told in a `start` frame. */
export interface StartData {
  readonly streamId: string
  readonly command: string
  readonly attempt: number
  readonly resumable: boolean
  /** Only over HTTP. */
  readonly heartbeatMs?: number
}

/**
 * Writes the frames of one stream, in order. A value that cannot be written throws MEDIATOR_ERR_INVALID_OUTPUT and takes
 * no number.
 */
export class FrameEncoder {
  /** What is written while nothing happens: a comment, an empty line. Neither is a frame. */
  readonly heartbeat: string
  readonly #definition: CommandDefinition
  readonly #streamId: string
  readonly #serializers: OutputSerializers
  readonly #names: Required<EventNames>
  readonly #single: boolean
  readonly #write: (name: string, id: string, json: string) => string
  readonly #envelope: boolean
  readonly #maxFrameBytes: number
  #seq = 0

  constructor (definition: CommandDefinition, streamId: string, format: FrameFormat, { framing, names }: FrameStyle, maxFrameBytes = Infinity) {
    this.#definition = definition
    this.#streamId = streamId
    this.#serializers = serializersOf(definition)
    this.#single = this.#serializers.progressNames.length === 0
    this.#names = names
    this.#maxFrameBytes = maxFrameBytes
    // An envelope is for EventSource.onmessage; a line of NDJSON always has its type beside its data.
    this.#envelope = format === 'sse' && framing === 'envelope'
    this.#write = format === 'ndjson' ? writeLine : this.#envelope ? writeUnnamedEvent : writeEvent
    this.heartbeat = format === 'ndjson' ? '\n' : ':\n\n'
  }

  /** How many frames were written. */
  get frames (): number {
    return this.#seq
  }

  start (heartbeatMs?: number): string {
    const data: StartData = {
      streamId: this.#streamId,
      command: this.#definition.name,
      attempt: 1,
      resumable: false,
      ...(heartbeatMs !== undefined && { heartbeatMs })
    }
    return this.#frameMembers(this.#names.start, data, '')
  }

  /** An empty text for `undefined`, which is no frame. */
  progress (value: unknown): string {
    if (value === undefined) return ''
    if (this.#single) return this.#frameData(this.#names.progress, this.#serializers.progress(undefined, value), '')
    const { event, data } = (value ?? {}) as { event?: string, data?: unknown }
    return this.#frameData(event!, this.#serializers.progress(event ?? '', data), '')
  }

  complete (result: unknown): string {
    const json = this.#serializers.result(result)
    if (!this.#envelope) return this.#frame(this.#names.complete, json, '.end')
    const members: unknown = JSON.parse(json)
    if (members === null || typeof members !== 'object' || Array.isArray(members) || 'type' in members) {
      return this.#frameData(this.#names.complete, json, '.end')
    }
    const rest = json.slice(json.indexOf('{') + 1)
    const type = `{"type":${JSON.stringify(this.#names.complete)}`
    return this.#frame(this.#names.complete, Object.keys(members).length === 0 ? `${type}}` : `${type},${rest}`, '.end')
  }

  failed (problem: Problem): string {
    try {
      return this.#failed(problem)
    } catch {
      // Whatever made it too long, the reader learns that the stream has failed: this one fits, and nobody catches what it throws. An
      // escaped character would take six bytes.
      const { type, title, status, instance, retryable } = problem
      const code = problem.code.slice(0, 128).replaceAll(/[^ -~]/g, '?')
      return this.#failed({ type, title, status, ...(instance !== undefined && { instance }), code, retryable })
    }
  }

  #failed (problem: Problem): string {
    if (!this.#envelope) return this.#frame(this.#names.failed, JSON.stringify(problem), '.end')
    return this.#frameMembers(this.#names.failed, { ...problem, message: problem.detail ?? problem.title }, '.end')
  }

  #frameMembers (name: string, members: object, end: '' | '.end'): string {
    return this.#frame(name, JSON.stringify(this.#envelope ? Object.assign({ type: name }, members, { type: name }) : members), end)
  }

  #frameData (name: string, json: string, end: '' | '.end'): string {
    return this.#frame(name, this.#envelope ? `{"type":${JSON.stringify(name)},"data":${json}}` : json, end)
  }

  #frame (name: string, json: string, end: '' | '.end'): string {
    // JSON has none, but a Date's own methods write their text themselves: a line break would begin a field of the user's making.
    if (json.includes('\n') || json.includes('\r')) {
      throw new InvalidOutputError(this.#definition.name, name, 'its JSON text holds a line break')
    }
    const frame = this.#write(name, `${this.#streamId}.${this.#seq + 1}${end}`, json)
    // A character is at most three bytes long: most frames need not be measured.
    if (frame.length * 3 > this.#maxFrameBytes && Buffer.byteLength(frame) > this.#maxFrameBytes) {
      throw new FrameTooLargeError(this.#definition.name, name, this.#maxFrameBytes)
    }
    this.#seq++
    return frame
  }
}

function writeEvent (name: string, id: string, json: string): string {
  return `event: ${name}\nid: ${id}\ndata: ${json}\n\n`
}

function writeUnnamedEvent (_name: string, id: string, json: string): string {
  return `id: ${id}\ndata: ${json}\n\n`
}

function writeLine (name: string, id: string, json: string): string {
  return `{"event":"${name}","id":"${id}","data":${json}}\n`
}
