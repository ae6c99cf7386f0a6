import { Type } from '@sinclair/typebox'
import { isSchema } from '../lib/definition.js'
import type { CommandDefinition } from '../lib/definition.js'

const problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.Optional(Type.String()),
  instance: Type.Optional(Type.String()),
  code: Type.String(),
  retryable: Type.Boolean(),
  errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() })))
}, { description: 'A problem (RFC 9457)' })

/**
 * What a command route answers, for documentation: Fastify serializes nothing by it, because streams and finished texts are
 * sent.
 */
export function responseSchema (definition: CommandDefinition): Record<string, unknown> {
  const frames = Type.String({ description: describeFrames(definition) })
  return {
    200: {
      description: definition.progress === undefined ? 'The result' : 'The frames of the stream or, on request, the result alone',
      content: {
        'text/event-stream': { schema: frames },
        'application/x-ndjson': { schema: frames },
        'application/json': { schema: definition.result }
      }
    },
    204: { type: 'null', description: 'A reconnect, which starts nothing' },
    default: { description: 'The command was refused or failed', content: { 'application/problem+json': { schema: problem } } }
  }
}

function describeFrames ({ progress }: CommandDefinition): string {
  const names = progress === undefined ? [] : isSchema(progress) ? ['progress'] : Object.keys(progress)
  return `Frames: ${['start', ...names, 'complete or failed'].join(', ')}`
}
