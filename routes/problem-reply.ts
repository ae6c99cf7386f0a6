import { randomBytes } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { logThrown } from '../lib/logger.js'
import { problemOf } from '../lib/problem.js'
import { hasClientClosed } from './client-closed.js'

// The longest that `Retry-After` tells a client to wait, in seconds.
const maxRetryAfterS = 5

// These say that the server works as it should. Codes, because `instanceof` calls a proxy's trap, and what that throws would be told.
const limits = new Set(['MEDIATOR_ERR_SHUTTING_DOWN', 'MEDIATOR_ERR_TOO_MANY_STREAMS', 'MEDIATOR_ERR_LOG_FULL', 'MEDIATOR_ERR_DEADLINE'])

// Properties of the request: a WeakMap costs more than the rest of a route that it is one part of.
const streamIdOf = Symbol('fastify-streaming-mediator.stream-id')
const hasFailed = Symbol('fastify-streaming-mediator.has-failed')

declare module 'fastify' {
  interface FastifyRequest {
    /** @internal */
    [streamIdOf]?: string
    /** @internal */
    [hasFailed]?: true
  }
}

/** Remembers which stream a request's error comes from, so that the client and the log get its id. */
export function rememberStream (request: FastifyRequest, streamId: string): void {
  request[streamIdOf] = streamId
}

/** Remembers that a request's error is the end of its stream, which the log has already. */
export function rememberStreamFailure (request: FastifyRequest): void {
  request[hasFailed] = true
}

/**
 * The error handler of a command route: answers any error, whoever raised it, as `application/problem+json` (RFC 9457). Where
 * the client has left there is nobody to answer, but a failure of the server is logged all the same.
 */
export function replyWithProblem (error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const streamId = request[streamIdOf]
  let problem = problemOf(error, streamId)
  const left = hasClientClosed(request, reply)
  if (problem.status >= 500) {
    // A 5xx tells the client nothing but the id under which the log has the error.
    const instance = streamId ?? randomBytes(16).toString('base64url')
    problem = problemOf(error, instance)
    if (request[hasFailed]) request.log.info({ streamId, instance, code: problem.code }, 'request failed')
    else logThrown(request.log, limits.has(problem.code) ? 'info' : 'error', error, { streamId, instance }, 'request failed')
  } else if (!left) {
    if (request[hasFailed]) request.log.info({ streamId, code: problem.code }, 'request failed')
    else logThrown(request.log, 'info', error, { streamId }, 'request failed')
  }
  if (left) {
    reply.hijack()
    return
  }
  // Fastify closes the connection behind a body that it could not read, and Node warns of that header in HTTP/2, which has none.
  if (request.raw.httpVersionMajor > 1) reply.removeHeader('connection')
  // Somebody who comes back at once finds what they left; those who come back together find each other.
  if (problem.retryable && !reply.hasHeader('retry-after')) reply.header('retry-after', 1 + Math.floor(Math.random() * maxRetryAfterS))
  // A Buffer, because Fastify adds a charset to a text, and the media type has none.
  void reply
    .code(problem.status)
    .headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    .send(Buffer.from(JSON.stringify(problem)))
}
