import { retryAfterOf } from './backoff.js'
import { ClientError, problemError } from './client-error.js'
import type { ClientSettings } from './client-options.js'
import { waitFor } from './wait-for.js'

/** What is asked for. */
export interface ClientRequest {
  readonly url: URL
  /** POST with a body, else GET. */
  readonly method?: 'DELETE' | undefined
  /** Of the answer. An event stream by default. */
  readonly accept?: string | undefined
  readonly key?: string | undefined
  readonly body?: string
}

/** The media type of inputs, results and statuses. */
export const json = 'application/json'

/** How long a server may be silent in the middle of an answer, where it did not say how often it sends something. */
export const defaultSilenceMs = 45_000

/** Sends a request. Rejects where the answer is a redirect or a refusal, or does not begin in time. */
export async function send (
  settings: ClientSettings, { url, body, method, accept = 'text/event-stream', key }: ClientRequest, signal: AbortSignal, silenceMs?: number, lastEventId?: string
): Promise<Response> {
  const request = async (): Promise<Response> => {
    // Not called as a method of ours.
    const { fetch = globalThis.fetch, headers } = settings
    const all = new Headers(typeof headers === 'function' ? await headers() : headers)
    const own = { accept, 'content-type': body && json, 'idempotency-key': key, 'last-event-id': lastEventId }
    for (const [name, value] of Object.entries(own)) if (value) all.set(name, value)
    // A body that is undefined is none.
    return await fetch(url, { method: method ?? (body ? 'POST' : 'GET'), headers: all, body: body!, signal, redirect: 'manual' })
  }
  const response = await waitFor(request(), signal, silenceMs)
  const { ok, status } = response
  if (ok) return response
  // A redirect is refused as well: it may lead to another origin, and our headers would go there. Browsers tell nothing of it: its status is 0.
  // Of a proxy's page nothing is told.
  const problem = { ...await jsonOf(settings, response, signal).catch(() => {}), status }
  throw problemError('truncated', problem, {
    retryAfterMs: retryAfterOf(response),
    // What servers and proxies say that are about to be there again. Where the end of a run is told again, it stays what it is.
    retryable: problem.retryable !== false && /429|50[234]/.test(`${status}`)
  })
}

/** The text of an answer. No more of it is read than is asked for. */
export async function * textOf ({ body }: Response, signal: AbortSignal, silenceMs: () => number): AsyncGenerator<string, void> {
  // Node 26 takes two byte order marks away where a chunk ends inside the first: the parser removes the one.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const reader = body!.getReader()
  let read
  while (!(read = await waitFor(reader.read(), signal, silenceMs())).done) yield decoder.decode(read.value, { stream: true })
}

/** The value of an answer that is JSON. */
export async function jsonOf ({ maxEventLength }: ClientSettings, response: Response, signal: AbortSignal): Promise<any> {
  let all = ''
  for await (const text of textOf(response, signal, () => defaultSilenceMs)) {
    all += text
    if (all.length > maxEventLength) throw tooLarge()
  }
  return JSON.parse(all)
}

/** The error for what is longer than the caller wants it. */
export function tooLarge (): ClientError {
  return new ClientError('truncated', 'CLIENT_ERR_TOO_LARGE')
}
