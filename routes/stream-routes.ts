import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ForeignEventIdError, StreamNotFoundError } from '../lib/errors.js'
import { formatFrameId } from '../lib/frame-id.js'
import type { FrameStyle } from '../lib/frame-style.js'
import type { LogInfo } from '../lib/stream-log.js'
import { chooseAnswer } from './accept.js'
import { keptStreams } from './kept-streams.js'
import { readToEnd, replyWithLog } from './log-reply.js'
import { logOwnerOf, publicOwner } from './owner.js'
import type { OwnerOption } from './owner.js'
import { lastFrameSeen, protocolParametersOf } from './protocol-parameters.js'
import { headersOf, varyOnAccept } from './stream-reply.js'

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
    const owner = await logOwnerOf(this.#owner, request)
    const { streamId } = request.params as { streamId: string }
    reply.headers({ vary: varyOnAccept(reply.getHeader('vary')), 'x-content-type-options': 'nosniff' })
    const answer = chooseAnswer(request.headers.accept, true)
    const seen = lastFrameSeen(request, protocolParametersOf(request))
    if (seen !== undefined && seen.streamId !== streamId) throw new ForeignEventIdError()
    if (seen?.terminal) return reply.code(204).header('cache-control', 'no-store').send()
    const info = await find(request, owner)
    if (request.method === 'HEAD') return reply.headers(headersOf(answer)).send(Readable.from([]))
    if (answer === 'application/json') return reply.headers(headersOf(answer)).send(statusWithEnd(info))
    const reader = await request.server[keptStreams].log.read(streamId, { owner: info.owner, after: seen })
    // What the stream's own route has written into it.
    const style = JSON.parse(info.meta!) as FrameStyle
    return await replyWithLog(request, reply, { streamId, command: info.command, reader, answer, style, retry: true, commitAfterMs: 0 })
  }

  async cancel (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const found = await find(request, await logOwnerOf(this.#owner, request))
    const { streamId, owner, last } = found
    const { log } = request.server[keptStreams]
    await log.cancel(streamId, { owner })
    await readToEnd(await log.read(streamId, { owner, after: last }), request, reply)
    return reply.headers(headersOf('application/json')).send(statusWithEnd(await find(request, owner)))
  }

  async list (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const owner = await logOwnerOf(this.#owner, request)
    const { streams, next = null } = await request.server[keptStreams].log.list(owner, request.query as Static<typeof listQuery>)
    return reply.headers(headersOf('application/json')).send(JSON.stringify({ streams: streams.map(statusOf), next }))
  }
}

// What is anybody's may be read by those who own others.
async function find ({ server, params }: FastifyRequest, owner: string): Promise<LogInfo> {
  const { log } = server[keptStreams]
  const { streamId } = params as { streamId: string }
  const info = await log.stat(streamId, { owner }) ?? await log.stat(streamId, { owner: publicOwner })
  if (info === undefined) throw new StreamNotFoundError()
  return info
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
