import type { ReconnectOptions } from './backoff.js'

/** Headers of each request, or what makes them: it is called again for each attempt. */
export type HeadersOption = Readonly<Record<string, string>> | (() => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>)

/** Options of `createClient`. */
export interface ClientOptions {
  /** Where the commands are: that of `<name>` is at `<baseUrl>/<name>`. In a browser it may be a path. */
  readonly baseUrl: string
  /** Sent to the origin of `baseUrl`, and to no other. */
  readonly headers?: HeadersOption
  /** The global one by default. Give one of your own to set what `fetch` takes beside headers, such as `credentials`. */
  readonly fetch?: typeof fetch
  /** Characters of one event, or of an answer that is no stream. @default 2_000_000 */
  readonly maxEventLength?: number
  readonly reconnect?: ReconnectOptions
}

/** The same with what must be there. */
export interface ClientSettings extends ClientOptions {
  readonly maxEventLength: number
}
