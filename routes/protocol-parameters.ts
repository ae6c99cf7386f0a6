import type { FastifyRequest } from 'fastify'
import { parseFrameId } from '../lib/frame-id.js'
import type { FrameId } from '../lib/frame-id.js'

/**
 * The last frame that a client has seen. EventSource sends a header; a page that starts again after a reload can only change the url. An
 * empty id is none.
 * @throws MEDIATOR_ERR_MALFORMED_EVENT_ID
 */
export function lastFrameSeen ({ headers }: FastifyRequest, parameters: URLSearchParams): FrameId | undefined {
  const id = String(headers['last-event-id'] ?? '') || parameters.getAll('lastEventId').find(value => value !== '')
  return id === undefined ? undefined : parseFrameId(id)
}

// Both places are there, and the new one is missing in Fastify's type.
interface RouterConfig {
  readonly useSemicolonDelimiter?: boolean
}

// Their names, which may be percent-encoded. Most urls hold none, and to find that out costs less than to read them.
const mayHold = /%|lastEventId|idempotencyKey/
const none = new URLSearchParams()

/** The parameters of a request's url where the protocol's can be among them: validation has taken those out of `request.query`. */
export function protocolParametersOf ({ url, server }: FastifyRequest): URLSearchParams {
  // Fastify takes a fragment, which no browser sends, for a query string, and what follows a semicolon where it is told to.
  const config = server.initialConfig as RouterConfig & { readonly routerOptions?: RouterConfig }
  const query = url.search(config.useSemicolonDelimiter || config.routerOptions?.useSemicolonDelimiter ? /[?#;]/ : /[?#]/)
  return query === -1 || !mayHold.test(url) ? none : new URLSearchParams(url.slice(query + 1))
}
