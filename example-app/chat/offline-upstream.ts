import { randomBytes, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import type { Message } from './ask-upstream.js'
import { answerFrom, readSentences } from './doc-sentences.js'
import type { Upstream } from './upstream.js'

/**
 * Stands in for a model where there is none: a server of its own on this machine that speaks the same protocol, and answers with what the docs
 * of this project say. It starts when it is first asked for.
 */
export class OfflineUpstream {
  readonly #tokenMs: number
  #started: Promise<{ app: FastifyInstance, upstream: Upstream }> | undefined

  /** @param tokenMs - how long a token takes, in milliseconds */
  constructor (tokenMs: number) {
    this.#tokenMs = tokenMs
  }

  async start (): Promise<Upstream> {
    this.#started ??= this.#listen()
    try {
      return (await this.#started).upstream
    } catch (error) {
      // The next who asks tries again.
      this.#started = undefined
      throw error
    }
  }

  async close (): Promise<void> {
    await (await this.#started)?.app.close()
  }

  async #listen (): Promise<{ app: FastifyInstance, upstream: Upstream }> {
    const sentences = await readSentences()
    // Whatever else runs on this machine could ask it, and has no business to.
    const apiKey = randomBytes(16).toString('hex')
    const app = fastify({ forceCloseConnections: true })
    app.post<{ Body: { model: string, messages: readonly Message[] } }>('/v1/chat/completions', async (request, reply) => {
      const { authorization } = request.headers
      if (authorization !== `Bearer ${apiKey}`) return await reply.code(401).send({ error: { message: 'Incorrect API key provided', type: 'invalid_request_error' } })
      const { model, messages } = request.body
      return reply.header('content-type', 'text/event-stream').send(Readable.from(this.#events(model, messages, sentences), { objectMode: false }))
    })
    // Workers of a cluster would share the port, and each has a key of its own.
    const address = await app.listen({ host: '127.0.0.1', port: 0, exclusive: true })
    return { app, upstream: { baseUrl: `${address}/v1`, apiKey, model: 'docs' } }
  }

  async * #events (model: string, messages: readonly Message[], sentences: readonly string[]): AsyncGenerator<string, void, void> {
    const tokens = answerFrom(sentences, messages.at(-1)!.content).match(/\s*\S+/g)!
    const base = { id: `chatcmpl-${randomUUID()}`, object: 'chat.completion.chunk', created: Math.floor(Date.now() / 1_000), model }
    const chunk = (rest: object): string => `data: ${JSON.stringify({ ...base, ...rest })}\n\n`
    const choice = (delta: object, finish: string | null = null): string => chunk({ choices: [{ index: 0, delta, finish_reason: finish }] })
    yield choice({ role: 'assistant', content: '' })
    for (const content of tokens) {
      await setTimeout(this.#tokenMs)
      yield choice({ content })
    }
    yield choice({}, 'stop')
    const asked = messages.reduce((sum, { content }) => sum + content.split(/\s+/).length, 0)
    yield chunk({ choices: [], usage: { prompt_tokens: asked, completion_tokens: tokens.length, total_tokens: asked + tokens.length } })
    yield 'data: [DONE]\n\n'
  }
}
