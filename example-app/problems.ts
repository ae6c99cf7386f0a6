import { randomBytes } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import fastifyPlugin from 'fastify-plugin'

interface Thrown {
  readonly statusCode?: unknown
  readonly code?: unknown
  readonly message?: unknown
  readonly headers?: Record<string, string>
}

/**
 * Answers the errors of plain routes as `application/problem+json` (RFC 9457), as routes of commands do by themselves. Fastify tells the
 * message of any error, and with it addresses, paths and what a database has said.
 */
export const problems = fastifyPlugin(async app => {
  app.setErrorHandler((thrown, request, reply) => {
    const { statusCode, code, message, headers } = (thrown ?? {}) as Thrown
    const status = typeof statusCode === 'number' && statusCode >= 400 && statusCode in STATUS_CODES ? statusCode : 500
    // The app's own errors are worded for clients, whatever their status.
    const isTold = status < 500 || (typeof code === 'string' && code.startsWith('EXAMPLE_ERR_'))
    const instance = randomBytes(16).toString('base64url')
    // Who has left is no failure of the server.
    request.log[status < 500 || reply.raw.destroyed ? 'info' : 'error']({ err: thrown, instance }, 'request failed')
    return reply
      .code(status)
      // Such as the range that a file has.
      .headers({ ...headers, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
      .type('application/problem+json')
      // A Buffer, because Fastify adds a charset to a text, and the media type has none.
      .send(Buffer.from(JSON.stringify({
        type: 'about:blank',
        title: STATUS_CODES[status],
        status,
        ...(isTold && { detail: String(message), code }),
        instance
      })))
  })
})
