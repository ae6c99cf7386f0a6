import createError from '@fastify/error'

/** 429: the model's server wants us to wait. The client is told for how long. */
export class ChatBusyError extends createError('EXAMPLE_ERR_CHAT_BUSY', 'The model is busy: try again later', 429) {
  readonly retryAfterS: number | undefined

  constructor (retryAfterS?: number) {
    super()
    this.retryAfterS = retryAfterS
  }
}

/** 500: the model's server refused us, and would again: a 502 would make clients ask once more. */
export const ChatRefusedError = createError<[string]>('EXAMPLE_ERR_CHAT_REFUSED', 'The model\'s server %s', 500)

/** 502: the model's server failed, or did not speak its protocol. Whose fault it is, a client cannot know and need not. */
export const ChatUpstreamError = createError<[string, ErrorOptions?]>('EXAMPLE_ERR_CHAT_UPSTREAM', 'The model\'s server %s', 502)

/** 503: the model's server says that it will be back. */
export const ChatUnavailableError = createError<[]>('EXAMPLE_ERR_CHAT_UNAVAILABLE', 'The model\'s server is not available', 503)

/** 504: the model's server was silent for too long, or did not come to an end. */
export const ChatTimeoutError = createError<[string]>('EXAMPLE_ERR_CHAT_TIMEOUT', 'The model\'s server %s', 504)
