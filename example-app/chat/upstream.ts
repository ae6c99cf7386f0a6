/** A server that speaks OpenAI's protocol, and what to ask it for. */
export interface Upstream {
  /** Without a slash at its end: `https://api.openai.com/v1`. */
  readonly baseUrl: string
  /** Sent as a bearer token. Servers on one's own machine need none. */
  readonly apiKey?: string | undefined
  readonly model: string
}

/** How long a model may take. */
export interface ChatLimits {
  /** Without a byte from its server, in milliseconds. */
  readonly silenceMs: number
  /** For a whole answer, in milliseconds. */
  readonly deadlineMs: number
}
