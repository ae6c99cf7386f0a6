import { ChatBusyError, ChatRefusedError, ChatUnavailableError, ChatUpstreamError } from './errors.js'
import type { Upstream } from './upstream.js'

export interface Message {
  readonly role: 'user' | 'assistant'
  readonly content: string
}

const longestRetryAfterS = 3_600

/** Asks for an answer as a stream. Of a refusal only its status is told and logged: its text may hold parts of the key. */
export async function askUpstream (
  { baseUrl, apiKey, model }: Upstream, messages: readonly Message[], signal: AbortSignal
): Promise<ReadableStream<Uint8Array>> {
  const response = await fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { accept: 'text/event-stream', 'content-type': 'application/json', ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) },
    body: JSON.stringify({ model, messages, stream: true, stream_options: { include_usage: true } }),
    // The key goes nowhere else.
    redirect: 'manual',
    signal
  })
  const type = response.headers.get('content-type') ?? ''
  if (response.status === 200 && response.body !== null && /^text\/event-stream\b/i.test(type)) return response.body
  response.body?.cancel().catch(() => {})
  if (response.status === 429) throw new ChatBusyError(retryAfterOf(response))
  if (response.status === 503) throw new ChatUnavailableError()
  if (response.status === 200) throw new ChatRefusedError('does not stream')
  throw new (response.status < 500 ? ChatRefusedError : ChatUpstreamError)(`has answered with ${response.status}`)
}

function retryAfterOf ({ headers }: Response): number | undefined {
  const text = headers.get('retry-after') ?? ''
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - Date.now()) / 1_000)
  return seconds > 0 ? Math.min(seconds, longestRetryAfterS) : undefined
}
