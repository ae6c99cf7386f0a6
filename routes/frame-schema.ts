import { Type } from '@sinclair/typebox'
import type { TSchema } from '@sinclair/typebox'
import { isSchema } from '../lib/definition.js'
import type { CommandDefinition } from '../lib/definition.js'
import type { FrameStyle } from '../lib/frame-style.js'

/** The answer of a refused or failed command. */
export const problemSchema = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.Optional(Type.String()),
  instance: Type.Optional(Type.String()),
  code: Type.String(),
  retryable: Type.Boolean(),
  errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() })))
}, { description: 'A problem (RFC 9457)' })

const startSchema = Type.Object({
  streamId: Type.String(),
  command: Type.String(),
  attempt: Type.Integer(),
  resumable: Type.Boolean(),
  url: Type.Optional(Type.String({ description: 'Where the stream can be read again' })),
  heartbeatMs: Type.Optional(Type.Integer())
})

/** One kind of frame: its name on the wire, what it means and the schema of its data. */
interface FrameKind {
  readonly name: string
  readonly description: string
  readonly data: TSchema
  /** Whether its members stand beside the type, where the type is inside of the data. */
  readonly beside: boolean
}

/** The frames of a command's stream, in their order. */
export function frameKinds ({ progress, result }: CommandDefinition, { names }: FrameStyle): readonly FrameKind[] {
  const single = progress === undefined || isSchema(progress)
  const kinds = progress === undefined ? [] : isSchema(progress) ? [[names.progress, progress] as const] : Object.entries(progress)
  return [
    { name: names.start, description: 'The first frame', data: startSchema, beside: true },
    ...kinds.map(([name, data]) => ({ name, description: single ? 'Progress' : `Progress of the kind ${name}`, data, beside: false })),
    { name: names.complete, description: 'The last frame: the result', data: result, beside: result['type'] === 'object' },
    { name: names.failed, description: 'The last frame, where the command has failed', data: problemSchema, beside: true }
  ]
}

/** One event of `text/event-stream`, as OpenAPI 3.2 describes it: a field is a string, and what JSON in it holds has a schema of its own. */
export function eventSchema (kinds: readonly FrameKind[], { framing }: FrameStyle): object {
  return oneOf(kinds, kind => framing === 'event'
    ? { event: { type: 'string', const: kind.name }, id: { type: 'string' }, data: jsonText(kind.data) }
    : { id: { type: 'string' }, data: jsonText(envelopeOf(kind)) })
}

/** One line of `application/x-ndjson`. */
export function lineSchema (kinds: readonly FrameKind[]): object {
  return oneOf(kinds, ({ name, data }) => ({ event: { type: 'string', const: name }, id: { type: 'string' }, data }))
}

function oneOf (kinds: readonly FrameKind[], membersOf: (kind: FrameKind) => Record<string, object>): object {
  return {
    oneOf: kinds.map(kind => {
      const properties = membersOf(kind)
      // Of an end that is the reader's alone there is no id.
      const required = Object.keys(properties).filter(name => name !== 'id')
      return { title: kind.name, description: kind.description, type: 'object', properties, required }
    })
  }
}

function envelopeOf ({ name, data, beside }: FrameKind): object {
  const type = { type: 'string', const: name }
  return beside
    ? { allOf: [{ type: 'object', properties: { type }, required: ['type'] }, data] }
    : { type: 'object', properties: { type, data }, required: ['type', 'data'] }
}

function jsonText (contentSchema: object): object {
  return { type: 'string', contentMediaType: 'application/json', contentSchema }
}
