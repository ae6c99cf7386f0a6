import type { ClientOptions } from './client-options.js'
import { createStream } from './client-stream.js'
import type { ClientStream, StreamCall } from './client-stream.js'
import type { ClientInput, ClientProgress, ClientResult, Contracts } from './contracts.js'
import { json } from './exchange.js'

/** Options of one call. */
export interface SendOptions {
  /** Cancels the call. */
  readonly signal?: AbortSignal | undefined
  /** GET for queries, and for commands whose route says so. Give such a command a key: a GET may be sent again. @default 'POST' */
  readonly method?: 'POST' | 'GET' | undefined
  /** Sent with each attempt, so that the command starts once. Only for routes that keep their streams. */
  readonly idempotencyKey?: string | undefined
  /** Of the route, where it is not at `<baseUrl>/<name>`. Relative to `baseUrl`, and of its origin. */
  readonly url?: string | undefined
}

/** Options of `client.attach`. */
export interface AttachOptions {
  /** Cancels the stream. */
  readonly signal?: AbortSignal | undefined
  /** Of the last frame that was seen. Without it the stream is read from its start. */
  readonly lastEventId?: string | undefined
}

/** Options of `client.stream`. */
export interface StreamOptions extends SendOptions, AttachOptions {}

/** Calls the commands and queries of a server. */
export interface Client<C extends Contracts> {
  /** Calls a command and streams its progress. Nothing is sent before the stream, or its result, is read. */
  stream<Name extends keyof C & string> (
    name: Name, input: ClientInput<C[Name]>, options?: StreamOptions
  ): ClientStream<ClientProgress<C[Name]>, ClientResult<C[Name]>>
  /** Calls a command and waits for its result, as JSON. */
  send<Name extends keyof C & string> (name: Name, input: ClientInput<C[Name]>, options?: SendOptions): Promise<ClientResult<C[Name]>>
  /** Reads a stream that is kept, by the `url` of a `ClientStream`: `client.attach<'import-orders'>(url, { lastEventId })`. */
  attach<Name extends keyof C & string = keyof C & string> (
    url: string, options?: AttachOptions
  ): ClientStream<ClientProgress<C[Name]>, ClientResult<C[Name]>>
}

/** Makes a client of the commands whose types are given: `createClient<{ 'import-orders': typeof ImportOrders }>({ baseUrl: '/commands' })`. */
export function createClient<C extends Contracts> (options: ClientOptions): Client<C> {
  const settings = { maxEventLength: 2_000_000, ...options }

  const urlOf = (path: string): URL => {
    // A path alone will do where there is a page.
    const base = new URL(settings.baseUrl.replace(/\/?$/, '/'), (globalThis as unknown as { location?: URL }).location)
    const url = new URL(path, base)
    if (url.origin !== base.origin) throw new TypeError(`Unexpected ${url}`)
    return url
  }

  const callOf = (
    name: string, input: unknown, { method, idempotencyKey: key, url: path = name, ...rest }: StreamOptions = {}, accept?: string
  ): StreamCall => ({
    ...rest,
    request: () => {
      const url = urlOf(path)
      const body = JSON.stringify(input)
      if (method !== 'GET') return { url, accept, key, body }
      for (const [name, value] of Object.entries(Object(JSON.parse(body)))) {
        for (const each of [value].flat()) url.searchParams.append(name, each as string)
      }
      return { url, accept, key }
    }
  })

  return {
    stream: (name, input, options) => createStream(settings, callOf(name, input, options)),
    send: (name, input, options) => createStream<never, any>(settings, callOf(name, input, options, json)).result,
    attach: (url, options) => createStream(settings, { ...options, attached: true, request: () => ({ url: urlOf(url) }) })
  }
}
