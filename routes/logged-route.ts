import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../lib/caller.js'
import type { CommandDefinition, InputOf } from '../lib/definition.js'
import { ForeignEventIdError, IdempotencyMismatchError, LogGapError, ShuttingDownError, StreamNotFoundError } from '../lib/errors.js'
import type { FrameId } from '../lib/frame-id.js'
import { createStreamId } from '../lib/frame-id.js'
import type { FrameStyle } from '../lib/frame-style.js'
import { LoggedRun } from '../lib/logged-run.js'
import { errorOf } from '../lib/problem.js'
import type { Problem } from '../lib/problem.js'
import type { Scope } from '../lib/scope.js'
import type { LogEntry, LogInfo, LogReader, LogWriter, OpenLogResult } from '../lib/stream-log.js'
import type { AnswerType } from './accept.js'
import { hasClientClosed } from './client-closed.js'
import { assertUnguessable, fingerprintOf, streamIdOf } from './idempotency-key.js'
import { keptStreams } from './kept-streams.js'
import { isEndOf, readToEnd, replyWithLog } from './log-reply.js'
import { openReplies } from './open-replies.js'
import { logOwnerOf, publicOwner } from './owner.js'
import type { OwnerOption } from './owner.js'
import { prefersAsync } from './prefer.js'
import { rememberStream, rememberStreamFailure } from './problem-reply.js'
import { routeDefaults } from './route-defaults.js'
import { SentAnswer } from './sent-answer.js'
import { headersOf, replyWithNothing } from './stream-reply.js'

export interface LoggedRouteOptions {
  readonly definition: CommandDefinition
  readonly style: FrameStyle
  readonly owner: OwnerOption
  readonly caller: ((request: FastifyRequest) => Caller | undefined | Promise<Caller | undefined>) | undefined
  readonly scope: ((request: FastifyRequest) => Scope) | undefined
  readonly commitAfterMs: number
  /** How long a stream runs on without a reader, in milliseconds; undefined for to its end. */
  readonly graceMs: number | undefined
  inputOf (request: FastifyRequest): Promise<unknown>
}

/** What a request asks for. */
export interface LoggedCall {
  readonly answer: AnswerType
  readonly seen: FrameId | undefined
  readonly key: string | undefined
}

/** What a new stream would be made with. */
interface PreparedCall {
  readonly streamId: string
  readonly owner: string
  readonly fingerprint: string
  readonly input: unknown
  readonly caller: Caller | undefined
}

/** A stream that a request reads. */
interface Attached {
  readonly streamId: string
  readonly reader: LogReader
  /** The run, where this request has started it. */
  readonly run?: LoggedRun | undefined
  /** The terminal, where that was there already. */
  readonly terminal?: LogEntry | undefined
}

/** A route whose streams are kept: each request begins one, or reads one that is there. */
export class LoggedRoute {
  readonly #options: LoggedRouteOptions

  constructor (options: LoggedRouteOptions) {
    this.#options = options
  }

  async handle (request: FastifyRequest, reply: FastifyReply, { answer, seen, key }: LoggedCall): Promise<unknown> {
    const owner = await logOwnerOf(this.#options.owner, request)
    if (key !== undefined && owner === publicOwner) assertUnguessable(key)
    const keyed = key === undefined ? undefined : streamIdOf(owner, request.method, request.routeOptions.url!, key)
    if (seen !== undefined) {
      if (keyed !== undefined && keyed !== seen.streamId) throw new ForeignEventIdError()
      return await this.#resume(request, reply, answer, owner, seen)
    }
    const call = await this.#prepare(request, owner, keyed)
    const url = prefersAsync(request.headers.prefer) ? request.server[keptStreams].urlOf(call.streamId) : undefined
    if (url === undefined) return await this.#reply(request, reply, answer, await this.#attach(request, call, answer))
    const { reader } = await this.#attach(request, call, 'application/json')
    reader.close()
    return reply
      .code(202)
      .headers({ ...headersOf('application/json'), location: url, 'preference-applied': 'respond-async' })
      .send(JSON.stringify({ streamId: call.streamId, url }))
  }

  async #resume (request: FastifyRequest, reply: FastifyReply, answer: AnswerType, owner: string, seen: FrameId): Promise<unknown> {
    const { log } = request.server[keptStreams]
    const { streamId } = seen
    const info = await log.stat(streamId, { owner })
    if (info?.command !== this.#options.definition.name) throw new StreamNotFoundError()
    if (isEndOf(info, seen)) return replyWithNothing(reply)
    return await this.#reply(request, reply, answer, { streamId, reader: await log.read(streamId, { owner, after: seen }) }, true)
  }

  async #prepare (request: FastifyRequest, owner: string, keyed: string | undefined): Promise<PreparedCall> {
    const input = await this.#options.inputOf(request)
    return {
      owner,
      input,
      caller: await this.#options.caller?.(request),
      streamId: keyed ?? createStreamId(),
      // With the command, because routes of one url may run several: they differ by their constraints.
      fingerprint: keyed === undefined ? '' : fingerprintOf([this.#options.definition.name, input])
    }
  }

  /** Begins the stream, or finds that it has begun. Who asks for its result alone, or for nothing, need not read it from its start. */
  async #attach (request: FastifyRequest, call: PreparedCall, answer: AnswerType): Promise<Attached> {
    const { streamId, owner } = call
    const { log } = request.server[keptStreams]
    for (;;) {
      const opened = await this.#open(request, call)
      if (opened.outcome === 'created') return await this.#start(request, opened.writer!, call)
      const { last, endedAt } = opened.info
      const after = answer === 'application/json' ? last : undefined
      const reader = await log.read(streamId, { owner, after }).catch((error: unknown) => {
        // It has expired, or gone on, since it was found.
        if (error instanceof StreamNotFoundError || (after !== undefined && error instanceof LogGapError)) return undefined
        throw error
      })
      // Whoever began it may have been refused; then this request begins it.
      if (reader === undefined || (last === undefined && !await hasBegun(reader))) continue
      return { streamId, reader, terminal: endedAt === undefined ? undefined : last }
    }
  }

  async #open (request: FastifyRequest, { streamId, owner, fingerprint }: PreparedCall): Promise<Extract<OpenLogResult, { info: LogInfo }>> {
    const { definition: { name: command }, style } = this.#options
    const opened = await request.server[keptStreams].log.open(streamId, { owner, command, fingerprint, meta: JSON.stringify(style), lease: true })
    rememberStream(request, streamId)
    if (opened.outcome === 'mismatch') throw new IdempotencyMismatchError()
    if (opened.outcome === 'forbidden') throw new StreamNotFoundError()
    return opened
  }

  async #start (request: FastifyRequest, writer: LogWriter, { streamId, owner, input, caller }: PreparedCall): Promise<Attached> {
    const { definition, scope, graceMs } = this.#options
    const { mediator, [keptStreams]: kept, [openReplies]: { heartbeatMs }, [routeDefaults]: { maxFrameBytes } } = request.server
    let reader: LogReader | undefined
    try {
      // Before the handler starts, so that what this does at once is not trimmed, and a grace does not begin.
      reader = await kept.log.read(streamId, { owner })
      const stream = mediator.stream(definition, input as InputOf<CommandDefinition>, {
        log: request.log,
        caller,
        owner: owner === publicOwner ? undefined : owner,
        scope: scope && (() => scope(request)),
        streamId
      })
      const start = {
        streamId,
        command: definition.name,
        attempt: writer.attempt,
        resumable: canComeBack(request),
        url: kept.urlOf(streamId),
        heartbeatMs
      }
      const run = new LoggedRun({ stream, writer, start, maxFrameBytes, graceMs })
      run.start()
      return { streamId, reader, run }
    } catch (error) {
      reader?.close()
      // What was refused is not remembered: the same key may try again.
      await writer.discard()
      throw error
    }
  }

  async #reply (
    request: FastifyRequest, reply: FastifyReply, answer: AnswerType, { streamId, reader, run, terminal }: Attached, isResumed = false
  ): Promise<unknown> {
    const { definition: { name: command }, style, commitAfterMs } = this.#options
    const refusalOf = ({ data }: LogEntry): unknown => {
      rememberStreamFailure(request)
      if (run?.failure !== undefined) return run.failure.error
      // Who asks again would get it again.
      return errorOf({ ...JSON.parse(data) as Problem, retryable: false })
    }
    rememberStream(request, streamId)
    if (answer !== 'application/json') {
      const options = { streamId, command, reader, style, answer, retry: canComeBack(request) }
      // To who comes back the answer was a stream already.
      return await replyWithLog(request, reply, isResumed ? { ...options, commitAfterMs: 0 } : { ...options, commitAfterMs, refusalOf })
    }
    const last = await readToEnd(reader, request, reply) ?? terminal
    if (last === undefined) {
      if (!hasClientClosed(request, reply)) throw new ShuttingDownError()
      reply.hijack()
      return reply
    }
    if (last.event === 'failed') throw refusalOf(last)
    void new SentAnswer(request, reply, request.server[openReplies])
    return reply.headers(headersOf(answer)).send(last.data)
  }
}

/** Whether a browser can read the stream again: at its url, or by the same request. */
function canComeBack ({ server, method }: FastifyRequest): boolean {
  return server[keptStreams].prefix !== undefined || method === 'GET'
}

// Whether a stream that was found writes: it ends without a word where it was refused.
async function hasBegun (reader: LogReader): Promise<boolean> {
  await new Promise<void>(resolve => reader.onReady(resolve))
  return !reader.ended
}
