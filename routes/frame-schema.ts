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
  /** Whether its members stand beside the type, where the type is inside of the data: `some` where that is up to the value. */
  readonly beside: 'all' | 'some' | 'none'
}

/** The frames of a command's stream, in their order. */
export function frameKinds ({ progress, result }: CommandDefinition, { names }: FrameStyle): readonly FrameKind[] {
  const single = progress === undefined || isSchema(progress)
  const kinds = progress === undefined ? [] : isSchema(progress) ? [[names.progress, progress] as const] : Object.entries(progress)
  return [
    { name: names.start, description: 'The first frame', data: startSchema, beside: 'all' },
    ...kinds.map(([name, data]) => ({ name, description: single ? 'Progress' : `Progress of the kind ${name}`, data, beside: 'none' as const })),
    { name: names.complete, description: 'The last frame: the result', data: result, beside: besideOf(result) },
    { name: names.failed, description: 'The last frame, where the command has failed', data: problemSchema, beside: 'all' }
  ]
}

// Those of an object do that has no `type` of its own.
function besideOf ({ type, properties = {}, required = [], additionalProperties }: TSchema): FrameKind['beside'] {
  if (type === undefined) return 'some'
  if (type !== 'object' || required.includes('type')) return 'none'
  return additionalProperties === false && !Object.hasOwn(properties, 'type') ? 'all' : 'some'
}

/** One event of `text/event-stream`, as OpenAPI 3.2 describes it: a field is a string, and what JSON in it holds has a schema of its own. */
export function eventSchema (kinds: readonly FrameKind[], { framing }: FrameStyle): object {
  if (framing === 'event') return oneOf(kinds, ({ name, data }) => objectOf({ event: constant(name), id: text, data: jsonText(data) }))
  // Only what the text holds tells one kind from another.
  return objectOf({ id: text, data: jsonText(oneOf(kinds, envelopeOf)) })
}

/** One line of `application/x-ndjson`. */
export function lineSchema (kinds: readonly FrameKind[]): object {
  return oneOf(kinds, ({ name, data }) => objectOf({ event: constant(name), id: text, data }))
}

function oneOf (kinds: readonly FrameKind[], schemaOf: (kind: FrameKind) => object): object {
  return { oneOf: kinds.map(kind => ({ ...schemaOf(kind), title: kind.name, description: kind.description })) }
}

// Of an end that is the reader's alone there is no id.
function objectOf (properties: Readonly<Record<string, object>>): object {
  return { type: 'object', properties, required: Object.keys(properties).filter(name => name !== 'id') }
}

function envelopeOf ({ name, data, beside }: FrameKind): object {
  const kinds = [...beside === 'none' ? [] : [withType(data, name)], ...beside === 'all' ? [] : [objectOf({ type: constant(name), data })]]
  return kinds.length === 1 ? kinds[0]! : { anyOf: kinds }
}

// Among the object's own members: one that is closed allows no others.
function withType ({ properties, required = [], ...rest }: TSchema, name: string): object {
  if (properties === undefined) return objectOf({ type: constant(name) })
  return { ...rest, properties: { ...properties, type: constant(name) }, required: ['type', ...required.filter((key: string) => key !== 'type')] }
}

const text = { type: 'string' }

function constant (value: string): object {
  return { type: 'string', const: value }
}

function jsonText (contentSchema: object): object {
  return { type: 'string', contentMediaType: 'application/json', contentSchema }
}
