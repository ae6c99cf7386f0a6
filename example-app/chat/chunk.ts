import { Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { Static } from '@sinclair/typebox'
import { ChatUpstreamError } from './errors.js'

const maybe = <S extends Parameters<typeof Type.Array>[0]>(schema: S) => Type.Optional(Type.Union([schema, Type.Null()]))

// As much of `chat.completion.chunk` as is used here. Servers add members of their own.
const ChunkSchema = Type.Object({
  error: Type.Optional(Type.Unknown()),
  choices: maybe(Type.Array(Type.Object({
    delta: maybe(Type.Object({ content: maybe(Type.String()) })),
    finish_reason: maybe(Type.String())
  }))),
  usage: maybe(Type.Object({ prompt_tokens: Type.Integer({ minimum: 0 }), completion_tokens: Type.Integer({ minimum: 0 }) }))
})
type Chunk = Static<typeof ChunkSchema>

const check = TypeCompiler.Compile(ChunkSchema)

/** Reads the data of one event. Nothing is taken for granted of what a server sends, and nothing of it is quoted. @throws EXAMPLE_ERR_CHAT_UPSTREAM */
export function parseChunk (data: string): Chunk {
  let chunk: unknown
  try {
    chunk = JSON.parse(data)
  } catch {
    throw new ChatUpstreamError('has sent what is no JSON')
  }
  if (!check.Check(chunk)) throw new ChatUpstreamError('has sent what is no chunk of an answer')
  if (chunk.error != null) throw new ChatUpstreamError('has failed in the middle of its answer')
  return chunk
}
