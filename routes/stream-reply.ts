import type { FastifyReply } from 'fastify'
import type { AnswerType } from './accept.js'
import type { ReplyStream } from './reply-stream.js'

/** What an answer of a type says of itself. */
export function headersOf (answer: AnswerType): Record<string, string> {
  if (answer === 'application/json') return { 'content-type': answer, 'cache-control': 'no-store' }
  return { 'content-type': answer, 'cache-control': 'no-cache, no-store, no-transform', 'x-accel-buffering': 'no' }
}

/** `Vary` with `Accept`, beside what a hook has put there. */
export function varyOnAccept (given: number | string | string[] | undefined): string {
  if (given === undefined) return 'Accept'
  const vary = String(given)
  return /(?:^|,)\s*(?:accept|\*)\s*(?:,|$)/i.test(vary) ? vary : `${vary}, Accept`
}

/** Answers a client that has seen the end: there is nothing behind it. */
export function replyWithNothing (reply: FastifyReply): FastifyReply {
  // A cache may keep a 204 (RFC 9110 §15.3.5), and the next request of this url may carry no id.
  return reply.code(204).header('cache-control', 'no-store').send()
}

/** Waits until the answer is known to be a stream, and gives what a handler returns for it. */
export async function replyWithFrames (body: ReplyStream, reply: FastifyReply, answer: AnswerType): Promise<unknown> {
  await body.commit()
  if (body.abandoned) {
    reply.hijack()
    return reply
  }
  reply.headers(headersOf(answer))
  // Not `reply.send`: what returns the reply waits for its end, and keeps itself and all that it holds until then.
  return body
}
