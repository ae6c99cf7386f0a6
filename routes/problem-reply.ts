import { randomBytes } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { logThrown } from '../lib/logger.js'
import { problemOf } from '../lib/problem.js'

const streamIds = new WeakMap<FastifyRequest, string>()

/** Remembers which stream a request's error comes from, so that the client and the log get its id. */
export function rememberStream (request: FastifyRequest, streamId: string): void {
  streamIds.set(request, streamId)
}

/**
 * The error handler of a command route: answers any error, whoever raised it, as `application/problem+json` (RFC 9457). It
 * does nothing when the client has left.
 */
export function replyWithProblem (error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  if (reply.raw.destroyed) {
    reply.hijack()
    return
  }
  const streamId = streamIds.get(request)
  let problem = problemOf(error, streamId)
  if (problem.status < 500) {
    logThrown(request.log, 'info', error, { streamId }, 'request failed')
  } else {
    // A 5xx tells the client nothing but the id under which the log has the error.
    const instance = streamId ?? randomBytes(16).toString('base64url')
    problem = problemOf(error, instance)
    logThrown(request.log, 'error', error, { streamId, instance }, 'request failed')
  }
  // A Buffer, because Fastify adds a charset to a text, and the media type has none.
  void reply
    .code(problem.status)
    .headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    .send(Buffer.from(JSON.stringify(problem)))
}
