import type { FastifyReply, FastifyRequest } from 'fastify'
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
  }

  /** There is none in the middle of an answer. */
  writeHeartbeat (): void {}

  cut (): void {
    this.#end()
    cutResponse(this.#reply)
  }

  #end (): void {
    this.#stopListening()
    this.#replies.delete(this)
  }
}
