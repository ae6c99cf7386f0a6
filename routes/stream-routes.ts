import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ForeignEventIdError, LogGapError, OwnerMissingError, ShuttingDownError, StreamNotFoundError } from '../lib/errors.js'
import { formatFrameId, isStreamId } from '../lib/frame-id.js'
import { defaultStyle } from '../lib/frame-style.js'
import type { FrameStyle } from '../lib/frame-style.js'
import type { LogInfo, StreamLog } from '../lib/stream-log.js'
import { chooseAnswer } from './accept.js'
import { hasClientClosed } from './client-closed.js'
import { keptStreams } from './kept-streams.js'
import { isEndOf, readToEnd, replyWithLog } from './log-reply.js'
import { openReplies } from './open-replies.js'
import { logOwnerOf, publicOwner } from './owner.js'
import type { OwnerOption } from './owner.js'
import { lastFrameSeen, protocolParametersOf } from './protocol-parameters.js'
import { SentAnswer } from './sent-answer.js'
import { headersOf, replyWithNothing, varyOnAccept } from './stream-reply.js'

/** The query of a list. */
export const listQuery = Type.Object({
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
  after: Type.Optional(Type.String({ maxLength: 100 }))
}, { additionalProperties: false })

/** Reads, cancels and lists the streams that are kept, for those who own them. */
export class StreamRoutes {
  readonly #owner: OwnerOption

  constructor (owner: OwnerOption) {
    this.#owner = owner
  }

  async read (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const owner = await this.#whoAsks(request)
    const { streamId } = request.params as StreamParams
    reply.headers({ vary: varyOnAccept(reply.getHeader('vary')), 'x-content-type-options': 'nosniff' })
    const answer = chooseAnswer(request.headers.accept, true)
    const seen = lastFrameSeen(request, protocolParametersOf(request))
    if (seen !== undefined && seen.streamId !== streamId) throw new ForeignEventIdError()
    if (seen?.terminal) return replyWithNothing(reply)
    const info = await find(request, owner)
    if (request.method === 'HEAD') return reply.headers(headersOf(answer)).send(Readable.from([]))
    if (answer === 'application/json') return replyWithJson(request, reply, statusWithEnd(info))
    if (seen !== undefined && isEndOf(info, seen)) return replyWithNothing(reply)
    // What the stream's own route has written into its log.
    const style = info.meta === undefined ? defaultStyle : JSON.parse(info.meta) as FrameStyle
    const reader = await request.server[keptStreams].log.read(streamId, { owner: info.owner, after: seen })
    return await replyWithLog(request, reply, { streamId, command: info.command, reader, answer, style, retry: true, commitAfterMs: 0 })
  }

  async cancel (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const asker = await this.#whoAsks(request)
    const { streamId, owner } = await find(request, asker)
    const { log } = request.server[keptStreams]
    await log.cancel(streamId, { owner })
    for (;;) {
      const info = await find(request, asker)
      if (info.endedAt !== undefined) return replyWithJson(request, reply, statusWithEnd(info))
      if (await waitForEnd(log, info, request, reply)) continue
      if (!hasClientClosed(request, reply)) throw new ShuttingDownError()
      reply.hijack()
      return reply
    }
  }

  async list (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const owner = await logOwnerOf(this.#owner, request)
    const { streams, next = null } = await request.server[keptStreams].log.list(owner, request.query as Static<typeof listQuery>)
    return replyWithJson(request, reply, JSON.stringify({ streams: streams.map(statusOf), next }))
  }

  // For who is not signed in there are the streams that are public.
  async #whoAsks (request: FastifyRequest): Promise<string | undefined> {
    try {
      return await logOwnerOf(this.#owner, request)
    } catch (error) {
      if (error instanceof OwnerMissingError) return undefined
      throw error
    }
  }
}

interface StreamParams {
  readonly streamId: string
}

// What is anybody's may be read by those who own others, too. An id that cannot be one gets no further than here.
async function find ({ server, params }: FastifyRequest, owner: string | undefined): Promise<LogInfo> {
  const { log } = server[keptStreams]
  const { streamId } = params as StreamParams
  if (isStreamId(streamId)) {
    const own = owner === undefined ? undefined : await log.stat(streamId, { owner })
    const info = own ?? await log.stat(streamId, { owner: publicOwner })
    if (info !== undefined) return info
  }
  throw owner === undefined ? new OwnerMissingError() : new StreamNotFoundError()
}

// False where it did not come: the client has left, or the log was closed.
async function waitForEnd (log: StreamLog, { streamId, owner, last }: LogInfo, request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
  try {
    return await readToEnd(await log.read(streamId, { owner, after: last }), request, reply) !== undefined
  } catch (error) {
    // More was written than is kept; the end may be among it.
    if (error instanceof LogGapError) return true
    throw error
  }
}

function replyWithJson (request: FastifyRequest, reply: FastifyReply, text: string): FastifyReply {
  void new SentAnswer(request, reply, request.server[openReplies])
  return reply.headers({ ...headersOf('application/json'), 'x-content-type-options': 'nosniff' }).send(text)
}

function statusOf ({ streamId, command, state, attempt, last, startedAt, endedAt, progressCount }: LogInfo): object {
  return {
    streamId,
    command,
    state,
    attempt,
    lastEventId: last === undefined ? null : formatFrameId(streamId, last.seq, last.attempt, endedAt !== undefined),
    startedAt: timeOf(startedAt),
    endedAt: timeOf(endedAt),
    progressCount
  }
}

// By text, because a result may hold numbers that JSON.parse would change.
function statusWithEnd (info: LogInfo): string {
  const text = JSON.stringify(statusOf(info))
  if (info.endedAt === undefined) return text
  return `${text.slice(0, -1)},"${info.state === 'completed' ? 'result' : 'problem'}":${info.last!.data}}`
}

function timeOf (ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}
