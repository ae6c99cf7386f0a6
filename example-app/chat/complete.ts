import { createParser } from 'eventsource-parser'
import type { ProgressOf, ResultOf } from '../../index.js'
import { askUpstream } from './ask-upstream.js'
import type { Message } from './ask-upstream.js'
import { parseChunk } from './chunk.js'
import type { Chat } from './contracts.js'
import { ChatTimeoutError, ChatUpstreamError } from './errors.js'
import type { ChatLimits, Upstream } from './upstream.js'

const maxAnswerChars = 40_000
const maxEventChars = 100_000

type Token = ProgressOf<typeof Chat>
type Completion = ResultOf<typeof Chat>

/**
 * Streams the answer of a model. The request to its server ends with the signal, and when the reader leaves.
 * @throws EXAMPLE_ERR_CHAT_BUSY, EXAMPLE_ERR_CHAT_UPSTREAM, EXAMPLE_ERR_CHAT_UNAVAILABLE, EXAMPLE_ERR_CHAT_TIMEOUT
 */
export async function * complete (
  upstream: Upstream, messages: readonly Message[], { silenceMs, deadlineMs }: ChatLimits, signal: AbortSignal
): AsyncGenerator<Token, Completion, void> {
  const request = new AbortController()
  const abort = (): void => request.abort(signal.reason)
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  const deadline = setTimeout(() => request.abort(new ChatTimeoutError('has not come to an end')), deadlineMs)
  // Only what its server takes is counted, not what our reader takes.
  const awaited = async <T>(promise: Promise<T>): Promise<T> => {
    const silence = setTimeout(() => request.abort(new ChatTimeoutError('is silent')), silenceMs)
    try {
      return await promise
    } finally {
      clearTimeout(silence)
    }
  }
  try {
    const body = await awaited(askUpstream(upstream, messages, request.signal))
    return yield * answerIn(body.getReader(), awaited)
  } catch (error) {
    request.signal.throwIfAborted()
    // What fetch rejects with: its message and its cause tell of sockets.
    throw error instanceof TypeError ? new ChatUpstreamError('cannot be reached, or broke off', { cause: error }) : error
  } finally {
    clearTimeout(deadline)
    signal.removeEventListener('abort', abort)
    // Nobody reads on.
    request.abort()
  }
}

async function * answerIn (
  reader: ReadableStreamDefaultReader<Uint8Array>, awaited: <T>(promise: Promise<T>) => Promise<T>
): AsyncGenerator<Token, Completion, void> {
  const events: string[] = []
  const parser = createParser({
    maxBufferSize: maxEventChars,
    onEvent: ({ data }) => { events.push(data) },
    onError: ({ type }) => { if (type === 'max-buffer-size-exceeded') throw new ChatUpstreamError('has sent an event that is too long') }
  })
  const decoder = new TextDecoder()
  let finishReason: string | undefined
  let usage: Completion['usage']
  let length = 0
  for (;;) {
    const { done, value } = await awaited(reader.read())
    // A connection that ends looks like an answer that does. Only this mark tells them apart.
    if (done) throw new ChatUpstreamError('has ended its answer without [DONE]')
    parser.feed(decoder.decode(value, { stream: true }))
    for (const data of events.splice(0)) {
      if (data === '[DONE]') return { finishReason: finishReason ?? 'stop', ...(usage !== undefined && { usage }) }
      const chunk = parseChunk(data)
      const choice = chunk.choices?.[0]
      const text = choice?.delta?.content ?? ''
      finishReason = choice?.finish_reason?.slice(0, 64) ?? finishReason
      if (chunk.usage != null) usage = { promptTokens: chunk.usage.prompt_tokens, completionTokens: chunk.usage.completion_tokens }
      if (text === '') continue
      length += text.length
      if (length > maxAnswerChars) return { finishReason: 'length' }
      yield { event: 'token', data: { text } }
    }
  }
}
