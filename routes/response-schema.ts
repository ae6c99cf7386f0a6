import { Type } from '@sinclair/typebox'
import type { CommandDefinition } from '../lib/definition.js'
import type { FrameStyle } from '../lib/frame-style.js'
import { eventSchema, frameKinds, lineSchema, problemSchema } from './frame-schema.js'

/**
 * What a command route answers, for documentation: Fastify serializes nothing by it, because streams and finished texts are
 * sent. `itemSchema` is OpenAPI 3.2's, for one item of a stream; older versions know `schema` alone, which is the text of all of them.
 */
export function responseSchema (definition: CommandDefinition, style: FrameStyle): Record<string, unknown> {
  const kinds = frameKinds(definition, style)
  const frames = Type.String({ description: `Frames: ${[...kinds.slice(0, -2).map(({ name }) => name), kinds.slice(-2).map(({ name }) => name).join(' or ')].join(', ')}` })
  return {
    200: {
      description: definition.progress === undefined ? 'The result' : 'The frames of the stream or, on request, the result alone',
      content: {
        'text/event-stream': { schema: frames, itemSchema: eventSchema(kinds, style) },
        'application/x-ndjson': { schema: frames, itemSchema: lineSchema(kinds) },
        'application/json': { schema: definition.result }
      }
    },
    204: { type: 'null', description: 'A reconnect, which starts nothing' },
    default: { description: 'The command was refused or failed', content: { 'application/problem+json': { schema: problemSchema } } }
  }
}
