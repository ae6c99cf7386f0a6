import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../lib/caller.js'
import type { CommandDefinition, InputOf } from '../lib/definition.js'
import { ForeignEventIdError, IdempotencyMismatchError, ShuttingDownError, StreamNotFoundError } from '../lib/errors.js'
import type { FrameId } from '../lib/frame-id.js'
import { createStreamId } from '../lib/frame-id.js'
import type { FrameStyle } from '../lib/frame-style.js'
import { LoggedRun } from '../lib/logged-run.js'
import { errorOf } from '../lib/problem.js'
import type { Problem } from '../lib/problem.js'
import type { Scope } from '../lib/scope.js'
import type { LogEntry, LogReader, LogWriter } from '../lib/stream-log.js'
import type { AnswerType } from './accept.js'
import { hasClientClosed } from './client-closed.js'
import { assertUnguessable, fingerprintOf, streamIdOf } from './idempotency-key.js'
import { keptStreams } from './kept-streams.js'
import { isEndOf, readToEnd, replyWithLog } from './log-reply.js'
import { openReplies } from './open-replies.js'
import { logOwnerOf, publicOwner } from './owner.js'
import type { OwnerOption } from './owner.js'
import { prefersAsync } from './prefer.js'
import { rememberStream } from './problem-reply.js'
import { routeDefaults } from './route-defaults.js'
import { SentAnswer } from './sent-answer.js'
import { headersOf } from './stream-reply.js'

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
  readonly run: LoggedRun | undefined
  /** Whether the client has read its beginning: then it is a stream to it, whatever becomes of it. */
  readonly resumed: boolean
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
      const resumed = await this.#resume(request, owner, seen)
      return resumed === undefined ? reply.code(204).header('cache-control', 'no-store').send() : await this.#reply(request, reply, answer, resumed)
    }
    const call = await this.#prepare(request, owner, keyed)
    const { [keptStreams]: kept } = request.server
    if (prefersAsync(request.headers.prefer)) {
      const url = kept.urlOf(call.streamId)
      if (url !== undefined) {
        await this.#open(request, call)
        return reply
          .code(202)
          .headers({ ...headersOf('application/json'), location: url, 'preference-applied': 'respond-async' })
          .send(JSON.stringify({ streamId: call.streamId, url }))
      }
    }
    return await this.#reply(request, reply, answer, await this.#attach(request, call))
  }

  // Nothing where the client has seen the end.
  async #resume (request: FastifyRequest, owner: string, seen: FrameId): Promise<Attached | undefined> {
    const { log } = request.server[keptStreams]
    const { streamId } = seen
    const info = await log.stat(streamId, { owner })
    if (info?.command !== this.#options.definition.name) throw new StreamNotFoundError()
    if (isEndOf(info, seen)) return undefined
    return { streamId, reader: await log.read(streamId, { owner, after: seen }), run: undefined, resumed: true }
  }

  async #prepare (request: FastifyRequest, owner: string, keyed: string | undefined): Promise<PreparedCall> {
    const input = await this.#options.inputOf(request)
    return {
      owner,
      input,
      caller: await this.#options.caller?.(request),
      streamId: keyed ?? createStreamId(),
      fingerprint: keyed === undefined ? '' : fingerprintOf(input)
    }
  }

  async #attach (request: FastifyRequest, call: PreparedCall): Promise<Attached> {
    const { streamId, owner } = call
    const { log } = request.server[keptStreams]
    for (;;) {
      const run = await this.#open(request, call)
      const reader = await log.read(streamId, { owner }).catch((error: unknown) => {
        if (run === undefined && error instanceof StreamNotFoundError) return undefined
        throw error
      })
      // Whoever began it may have been refused; then this request begins it.
      if (reader !== undefined && (run !== undefined || await hasBegun(reader))) return { streamId, reader, run, resumed: false }
    }
  }

  /** Begins the stream, or finds that it has begun. */
  async #open (request: FastifyRequest, call: PreparedCall): Promise<LoggedRun | undefined> {
    const { streamId, owner, fingerprint } = call
    const { definition: { name: command }, style } = this.#options
    const { log } = request.server[keptStreams]
    const opened = await log.open(streamId, { owner, command, fingerprint, meta: JSON.stringify(style), lease: true })
    rememberStream(request, streamId)
    if (opened.outcome === 'mismatch') throw new IdempotencyMismatchError()
    if (opened.outcome === 'forbidden') throw new StreamNotFoundError()
    return opened.outcome === 'exists' ? undefined : await this.#start(request, opened.writer!, call)
  }

  async #start (request: FastifyRequest, writer: LogWriter, { streamId, owner, input, caller }: PreparedCall): Promise<LoggedRun> {
    const { definition, scope, graceMs } = this.#options
    const { mediator, [keptStreams]: kept, [openReplies]: { heartbeatMs }, [routeDefaults]: { maxFrameBytes } } = request.server
    try {
      const stream = mediator.stream(definition, input as InputOf<CommandDefinition>, {
        log: request.log,
        caller,
        owner: owner === publicOwner ? undefined : owner,
        scope: scope && (() => scope(request)),
        streamId
      })
      const url = kept.urlOf(streamId)
      const start = { streamId, command: definition.name, attempt: writer.attempt, resumable: url !== undefined || request.method === 'GET', url, heartbeatMs }
      const run = new LoggedRun({ stream, writer, start, maxFrameBytes, graceMs })
      run.start()
      return run
    } catch (error) {
      // What was refused is not remembered: the same key may try again.
      await writer.discard()
      throw error
    }
  }

  async #reply (request: FastifyRequest, reply: FastifyReply, answer: AnswerType, { streamId, reader, run, resumed }: Attached): Promise<unknown> {
    const { definition: { name: command }, style, commitAfterMs } = this.#options
    const refusalOf = ({ data }: LogEntry): unknown => run?.failure?.error ?? errorOf(JSON.parse(data) as Problem)
    rememberStream(request, streamId)
    if (answer !== 'application/json') {
      const retry = request.server[keptStreams].urlOf(streamId) !== undefined
      return await replyWithLog(request, reply, { streamId, command, reader, style, answer, retry, commitAfterMs, ...!resumed && { refusalOf } })
    }
    const last = await readToEnd(reader, request, reply)
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

// Whether a stream that was found writes: it ends without a word where it was refused.
async function hasBegun (reader: LogReader): Promise<boolean> {
  await new Promise<void>(resolve => reader.onReady(resolve))
  return !reader.ended
}
