import { Readable } from 'node:stream'
import fastJsonStringify from 'fast-json-stringify'
import type { Static, TSchema } from '@sinclair/typebox'
import { errorCodes } from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema, RouteGenericInterface, RouteOptions } from 'fastify'
import type { Caller } from '../lib/caller.js'
import { serializersOf } from '../lib/definition.js'
import type { CommandDefinition, InputOf } from '../lib/definition.js'
import { IdempotencyUnsupportedError, InvalidRouteError, PluginMissingError } from '../lib/errors.js'
import { FrameEncoder } from '../lib/frame-encoder.js'
import { frameStyle } from '../lib/frame-style.js'
import type { EventNames, FrameStyle, Framing } from '../lib/frame-style.js'
import type { MediatorStream } from '../lib/mediator-stream.js'
import { toldError } from '../lib/problem.js'
import type { Scope } from '../lib/scope.js'
import type { StreamingMediator } from '../lib/streaming-mediator.js'
import { chooseAnswer } from './accept.js'
import type { AnswerType } from './accept.js'
import { hasAnswer, hasClientClosed, onClientClosed } from './client-closed.js'
import { refuseCrossSite } from './cross-site.js'
import { closed, compileInputCheck, validatorCompiler } from './input-validator.js'
import { idempotencyKeyOf } from './idempotency-key.js'
import { LiveFrames } from './live-frames.js'
import { LoggedRoute } from './logged-route.js'
import { isOnDisconnect } from './on-disconnect.js'
import type { OnDisconnect } from './on-disconnect.js'
import { openReplies } from './open-replies.js'
import { isOwnerOption, ownerOf } from './owner.js'
import type { OwnerOption } from './owner.js'
import { rememberStream, replyWithProblem } from './problem-reply.js'
import { lastFrameSeen, protocolParametersOf } from './protocol-parameters.js'
import { whyNotFlat } from './query-input.js'
import { ReplyStream } from './reply-stream.js'
import { responseSchema } from './response-schema.js'
import { routeDefaults } from './route-defaults.js'
import type { RouteDefaults } from './route-defaults.js'
import { SentAnswer } from './sent-answer.js'
import { headersOf, replyWithFrames, replyWithNothing, varyOnAccept } from './stream-reply.js'
import { expectBody, expectNoBody } from './unused-connections.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Runs commands and events; see `StreamingMediator`. */
    mediator: StreamingMediator
  }
}

// The parts of a request, typed by the route's own schema.
type Part<S, Key extends string> = S extends { readonly [K in Key]: infer P extends TSchema } ? Static<P> : unknown
type MappedRequest<S> = FastifyRequest<RouteGenericInterface & {
  Body: Part<S, 'body'>
  Querystring: Part<S, 'querystring'>
  Params: Part<S, 'params'>
  Headers: Part<S, 'headers'>
}>

// RouteOptions is generic over the server (HTTP/1, HTTP/2, TLS), and a route object must fit every instance.
type AnyRouteOptions = RouteOptions<any, any, any>

/** Options of {@link commandRoute}: those of a Fastify route, and these. */
export interface CommandRouteOptions<D extends CommandDefinition, S extends FastifySchema = FastifySchema>
  extends Omit<AnyRouteOptions, 'method' | 'url' | 'handler' | 'schema' | 'errorHandler'> {
  readonly url: string
  /** GET takes the input from the query string. @default 'POST' */
  readonly method?: 'GET' | 'POST'
  /** Schemas of other parts of the request, as in any route. `body` and `querystring` need `map`. */
  readonly schema?: S
  /** Makes the input from the request, in place of its body or query string. What it gives is checked like those. */
  readonly map?: (request: MappedRequest<S>) => InputOf<D> | Promise<InputOf<D>>
  /** Says whom the command runs for, from what hooks found out about the request: `context.caller` of its handlers. Plain data. @default the plugin's */
  readonly caller?: (request: FastifyRequest) => Caller | undefined | Promise<Caller | undefined>
  /**
   * Says whose stream it is, for `maxStreamsPerOwner` and, where streams are kept, who may read and cancel it. A route that keeps its
   * streams must have one. @default the plugin's
   */
  readonly owner?: OwnerOption
  /** What becomes of a stream whose client leaves, and whether it is kept. @default the plugin's, 'abort' */
  readonly onDisconnect?: OnDisconnect
  /** Makes the scope in which handler classes are resolved. It is disposed when the stream has settled. @default the plugin's */
  readonly scope?: (request: FastifyRequest) => Scope
  /** @default 'event' */
  readonly framing?: Framing
  /** Other names for the events. @default { start: 'start', progress: 'progress', complete: 'complete', failed: 'failed' } */
  readonly eventNames?: EventNames
  /**
   * How long the handler may take to fail with an HTTP status, in milliseconds; after that the stream begins and a failure
   * is a `failed` frame. `Infinity` waits for the first yield. @default the plugin's, 50
   */
  readonly commitAfterMs?: number
  /**
   * Takes requests that other sites' pages make, and browsers ahead of their users. Refused by default wherever a browser would send
   * them without asking first: by GET routes of commands, and by those with `map` that have no schema for the body. @default false
   */
  readonly crossSite?: boolean
  /** Replaces the route's handler of errors; `false` leaves the app's. @default answers `application/problem+json` */
  readonly errorHandler?: AnyRouteOptions['errorHandler'] | false
}

const routes = new WeakMap<object, CommandRoute>()

// @fastify/compress would hold frames back. Its option is not one of Fastify's types.
const uncompressed = { compress: false } as const

/** The command that a route's handler runs, or undefined for any other route. */
export function commandOf (handler: object): CommandDefinition | undefined {
  return routes.get(handler)?.definition
}

/** Whether the streams of a command's route are kept. @throws MEDIATOR_ERR_INVALID_ROUTE where nobody would own them */
export function keepsStreams (handler: object, defaults: Pick<RouteDefaults, 'onDisconnect' | 'owner'>): boolean {
  return routes.get(handler)!.keepsStreams(defaults)
}

/**
 * Makes a Fastify route that runs a command and streams its progress.
 * @throws MEDIATOR_ERR_INVALID_ROUTE, MEDIATOR_ERR_INVALID_OPTIONS, MEDIATOR_ERR_INVALID_DEFINITION
 */
export function commandRoute<D extends CommandDefinition, const S extends FastifySchema = FastifySchema> (
  definition: D, options: CommandRouteOptions<D, S>
): AnyRouteOptions {
  const {
    map, caller, owner, scope, framing, eventNames, commitAfterMs, onDisconnect, crossSite = false, errorHandler, schema, method = 'POST', preParsing, ...rest
  } = options
  serializersOf(definition)
  if (method !== 'GET' && method !== 'POST') throw new InvalidRouteError(definition.name, `has the method ${String(method)}: it must be GET or POST`)
  if (commitAfterMs !== undefined && !(commitAfterMs >= 0)) throw new InvalidRouteError(definition.name, 'has a negative commitAfterMs')
  // What only looks like `false` would let other sites in.
  if (typeof crossSite !== 'boolean') throw new InvalidRouteError(definition.name, 'has an option crossSite that is no boolean')
  if (owner !== undefined && !isOwnerOption(owner)) throw new InvalidRouteError(definition.name, "has an option owner that is neither a function nor 'public'")
  if (onDisconnect !== undefined && !isOnDisconnect(onDisconnect)) {
    throw new InvalidRouteError(definition.name, "has an option onDisconnect that is not 'abort', 'continue' or { graceMs }")
  }
  for (const [name, option] of Object.entries({ map, caller, scope })) {
    if (option !== undefined && typeof option !== 'function') throw new InvalidRouteError(definition.name, `has an option ${name} that is no function`)
  }
  const style = frameStyle(definition, framing, eventNames)
  const route = new CommandRoute(definition, {
    style,
    method,
    commitAfterMs,
    refusesCrossSite: !crossSite && definition.kind === 'command' && (method === 'GET' || (map !== undefined && schema?.body === undefined)),
    hasTimeout: rest.handlerTimeout !== undefined,
    onDisconnect,
    caller,
    owner,
    scope,
    // A request typed by the route's own schema is a FastifyRequest; the route cannot know more.
    map: map as ((request: FastifyRequest) => unknown) | undefined
  })
  const handler = function (this: FastifyInstance, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    return route.handle(request, reply)
  }
  routes.set(handler, route)
  return {
    validatorCompiler,
    ...uncompressed,
    serializerCompiler: ({ schema }: { schema: object }) => fastJsonStringify(schema),
    ...rest,
    method,
    handler,
    schema: routeSchema(definition, style, method, schema, map !== undefined),
    ...(errorHandler !== false && { errorHandler: errorHandler ?? replyWithProblem }),
    ...(method === 'POST'
      ? { preParsing: [expectBodyOf, ...map === undefined || schema?.body !== undefined ? [requireJson] : [], ...listOf(preParsing)] }
      : preParsing !== undefined && { preParsing })
  }
}

function routeSchema (
  definition: CommandDefinition, style: FrameStyle, method: 'GET' | 'POST', given: FastifySchema = {}, mapped: boolean
): FastifySchema {
  const part = method === 'GET' ? 'querystring' : 'body'
  const schema = { ...given, response: { ...responseSchema(definition, style), ...given.response as object | undefined } }
  if (mapped) return schema
  if (given.body !== undefined || (given.querystring !== undefined && method === 'GET')) {
    throw new InvalidRouteError(definition.name, `has a schema for its ${part}, which is its input: pass \`map\` to make the input from the request`)
  }
  if (method === 'POST') return { ...schema, body: closed(definition.input) }
  const reason = whyNotFlat(definition.input)
  if (reason !== undefined) throw new InvalidRouteError(definition.name, `cannot take its input from a query string: the input ${reason}`)
  return { ...schema, querystring: closed(definition.input) }
}

function listOf<T> (given: T | T[] | undefined): T[] {
  return given === undefined ? [] : Array.isArray(given) ? given : [given]
}

async function expectBodyOf (request: FastifyRequest): Promise<void> {
  expectBody(request)
}

// Fastify parses text/plain on any route, and browsers send it to other sites without asking first.
async function requireJson (request: FastifyRequest): Promise<void> {
  const type = request.headers['content-type']
  if (type === undefined || !/^application\/(?:[\w.+-]+\+)?json[ \t]*(?:;|$)/i.test(type)) throw new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE(type ?? '(none)')
}

interface CommandRouteSettings {
  readonly style: FrameStyle
  readonly method: 'GET' | 'POST'
  readonly commitAfterMs: number | undefined
  readonly refusesCrossSite: boolean
  readonly hasTimeout: boolean
  readonly map: ((request: FastifyRequest) => unknown) | undefined
  readonly caller: CommandRouteOptions<CommandDefinition>['caller']
  readonly owner: OwnerOption | undefined
  readonly onDisconnect: OnDisconnect | undefined
  readonly scope: CommandRouteOptions<CommandDefinition>['scope']
}

class CommandRoute {
  readonly definition: CommandDefinition
  readonly #settings: CommandRouteSettings
  readonly #streams: boolean
  readonly #checkInput: (input: unknown) => void

  constructor (definition: CommandDefinition, settings: CommandRouteSettings) {
    this.definition = definition
    this.#settings = settings
    this.#streams = definition.progress !== undefined
    this.#checkInput = settings.map === undefined ? () => {} : compileInputCheck(definition.input)
  }

  keepsStreams ({ onDisconnect, owner }: Pick<RouteDefaults, 'onDisconnect' | 'owner'>): boolean {
    if ((this.#settings.onDisconnect ?? onDisconnect) === 'abort') return false
    if ((this.#settings.owner ?? owner) !== undefined) return true
    throw new InvalidRouteError(this.definition.name, "keeps its streams and has no owner: say whose they are, or `owner: 'public'`")
  }

  async handle (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { mediator, [routeDefaults]: defaults } = request.server
    if (mediator === undefined) throw new PluginMissingError()
    expectNoBody(request)
    // With `attachValidation` Fastify leaves it to the handler.
    if (request.validationError !== undefined) throw request.validationError
    if (this.#settings.refusesCrossSite) refuseCrossSite(request)
    reply.header('vary', varyOnAccept(reply.getHeader('vary')))
    const answer = chooseAnswer(request.headers.accept, this.#streams)
    reply.header('x-content-type-options', 'nosniff')
    if (request.method === 'HEAD') return reply.headers(headersOf(answer)).send(Readable.from([]))
    const parameters = protocolParametersOf(request)
    const seen = lastFrameSeen(request, parameters)
    const key = idempotencyKeyOf(request, parameters)
    const { caller = defaults.caller, owner = defaults.owner, scope = defaults.scope, onDisconnect = defaults.onDisconnect } = this.#settings
    const isKept = this.keepsStreams(defaults)
    if (key !== undefined && !isKept) throw new IdempotencyUnsupportedError()
    // A reconnect must not run a command again; a query may run, but not once its end was seen.
    if (seen !== undefined && (seen.terminal || (!isKept && this.definition.kind === 'command'))) return replyWithNothing(reply)
    if (isKept) {
      const kept = new LoggedRoute({
        definition: this.definition,
        style: this.#settings.style,
        // There is one where streams are kept.
        owner: owner!,
        caller,
        scope,
        commitAfterMs: this.#settings.commitAfterMs ?? defaults.commitAfterMs,
        graceMs: typeof onDisconnect === 'object' ? onDisconnect.graceMs : undefined,
        inputOf: async asking => await this.#inputOf(asking)
      })
      return await kept.handle(request, reply, { answer, seen, key })
    }
    // Nothing is awaited that is there already: the first event would come that much later.
    const given = this.#inputOf(request)
    const input = given instanceof Promise ? await given : given
    const stream = mediator.stream(this.definition, input as InputOf<CommandDefinition>, {
      log: request.log,
      resumeAfter: seen?.seq,
      caller: caller && await caller(request),
      owner: owner && await ownerOf(owner, request),
      scope: scope && (() => scope(request))
    })
    rememberStream(request, stream.streamId)
    return answer === 'application/json' ? await this.#replyWithResult(stream, request, reply) : await this.#replyWithStream(stream, request, reply, answer)
  }

  // A promise where a function makes the input.
  #inputOf (request: FastifyRequest): unknown {
    const { map, method } = this.#settings
    if (map !== undefined) return this.#mappedInput(request)
    return method === 'GET' ? request.query : request.body
  }

  async #mappedInput (request: FastifyRequest): Promise<unknown> {
    const input = await this.#settings.map!(request)
    this.#checkInput(input)
    return input
  }

  async #replyWithResult (stream: MediatorStream<CommandDefinition>, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const written: { frames: 0, bytes: 0, closed: boolean, failure?: { error: unknown } } = { frames: 0, bytes: 0, closed: false }
    // The client has left, or has its answer: that of this handler, or of a timeout.
    const onClose = (): void => {
      stopListening()
      stream.end(hasAnswer(reply) ? 'cancelled' : 'client-closed')
      written.closed = true
      stream.replyClosed()
    }
    const stopListening = onClientClosed(request, reply, onClose)
    if (hasClientClosed(request, reply)) onClose()
    stream.drain(written)
    try {
      const result = serializersOf(this.definition).result(await stream.result)
      void new SentAnswer(request, reply, request.server[openReplies])
      return reply.headers(headersOf('application/json')).send(result)
    } catch (error) {
      written.failure = { error }
      const { abortError } = stream
      if (abortError === undefined || error !== abortError) throw error
      // Nobody is left to be told.
      if (!written.closed) throw toldError(stream, error)
      reply.log.info({ streamId: stream.streamId, command: this.definition.name, reason: abortError.reason }, 'stream ended')
      reply.hijack()
      return reply
    }
  }

  #replyWithStream (stream: MediatorStream<CommandDefinition>, request: FastifyRequest, reply: FastifyReply, answer: AnswerType): Promise<unknown> {
    const replies = request.server[openReplies]
    const { commitAfterMs: defaultCommitMs, maxFrameBytes } = request.server[routeDefaults]
    const { style, commitAfterMs = defaultCommitMs } = this.#settings
    const format = answer === 'text/event-stream' ? 'sse' : 'ndjson'
    const source = new LiveFrames({
      stream,
      encoder: new FrameEncoder(this.definition, stream.streamId, format, style, maxFrameBytes),
      heartbeatMs: replies.heartbeatMs,
      log: request.log
    })
    const body = new ReplyStream({ source, request, reply, replies, commitAfterMs })
    if (this.#settings.hasTimeout) endInTime(stream, request, reply)
    return replyWithFrames(body, reply, answer)
  }
}

// A `handlerTimeout` of the route. Fastify answers it until the headers are sent, and then cuts the connection of a reply that is not
// ended by the listeners of this signal.
function endInTime (stream: MediatorStream<CommandDefinition>, { signal }: FastifyRequest, { raw: response }: FastifyReply): void {
  signal.addEventListener('abort', () => {
    if (signal.reason instanceof errorCodes.FST_ERR_HANDLER_TIMEOUT && response.headersSent) stream.end('deadline')
  }, { once: true })
}
