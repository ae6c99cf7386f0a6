import type { ServerHttp2Stream } from 'node:http2'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { maxTimeoutMs } from '../lib/max-timeout.js'
import { onClientClosed } from './client-closed.js'
import { cutResponse } from './http2-sessions.js'
import type { OpenReplies, OpenReply } from './open-replies.js'

/** An answer that is sent as a whole, until its client has it: a server that closes would wait for one which does not read. */
export class SentAnswer implements OpenReply {
  readonly lastWriteAt = 0
  readonly blockedAt = undefined
  readonly #reply: FastifyReply
  readonly #replies: OpenReplies
  readonly #stopListening: () => void

  constructor (request: FastifyRequest, reply: FastifyReply, replies: OpenReplies) {
    this.#reply = reply
    this.#replies = replies
    this.#stopListening = onClientClosed(request, reply, () => this.#end())
    replies.add(this)
    // Node does not always tell that a connection of HTTP/2 is gone, and would keep the answer for ever. Its timer knows what has left of it.
    const { stream } = reply.raw as { stream?: ServerHttp2Stream }
    stream?.setTimeout(Math.min(replies.stallTimeoutMs, maxTimeoutMs), () => this.cut('stalled'))
  }

  /** There is none in the middle of an answer. */
  writeHeartbeat (): void {}

  cut (reason: 'shutdown' | 'stalled'): void {
    this.#reply.log.info({ reason }, 'client was cut before it had read its answer')
    this.#end()
    cutResponse(this.#reply)
  }

  #end (): void {
    this.#stopListening()
    this.#replies.delete(this)
  }
}
