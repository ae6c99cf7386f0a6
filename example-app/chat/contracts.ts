import { Type } from '@sinclair/typebox'
import { defineCommand } from '../../index.js'

const Count = Type.Integer({ minimum: 0 })

/** Asks a language model. Its answer comes token by token. */
export const Chat = defineCommand({
  name: 'chat',
  input: Type.Object({
    messages: Type.Array(Type.Object({
      role: Type.Union([Type.Literal('user'), Type.Literal('assistant')]),
      content: Type.String({ minLength: 1, maxLength: 8_000 })
    }, { additionalProperties: false }), { minItems: 1, maxItems: 20 })
  }),
  progress: { token: Type.Object({ text: Type.String() }) },
  result: Type.Object({
    finishReason: Type.String({ description: "Why the model stopped, in its own word: 'stop', or 'length' where the answer was cut" }),
    usage: Type.Optional(Type.Object({ promptTokens: Count, completionTokens: Count }))
  })
})
