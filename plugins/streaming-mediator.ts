import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Caller } from '../lib/caller.js'
import { InvalidOptionsError, UnknownCommandError } from '../lib/errors.js'
import type { CommandDefinition } from '../lib/definition.js'
import { maxTimeoutMs } from '../lib/max-timeout.js'
import { parseOptions } from '../lib/options.js'
import { assertScopeOption } from '../lib/scope.js'
import type { Scope } from '../lib/scope.js'
import { MemoryStreamLog } from '../lib/memory-stream-log.js'
import type { MediatorOptions } from '../lib/mediator-options.js'
import type { StreamLog } from '../lib/stream-log.js'
import { StreamingMediator } from '../lib/streaming-mediator.js'
import { commandOf, keepsStreams } from '../routes/command-route.js'
import { trackHttp2Sessions } from '../routes/http2-sessions.js'
import { KeptStreams, keptStreams } from '../routes/kept-streams.js'
import { isOnDisconnect } from '../routes/on-disconnect.js'
import type { OnDisconnect } from '../routes/on-disconnect.js'
import { OpenReplies, openReplies } from '../routes/open-replies.js'
import { isOwnerOption } from '../routes/owner.js'
import type { OwnerOption } from '../routes/owner.js'
import { routeDefaults } from '../routes/route-defaults.js'
import { trackConnections } from '../routes/unused-connections.js'

// How long the last frames have to reach their readers when the app closes, in milliseconds.
const drainMs = 1_000

const httpOptionsSchema = Type.Object({
  commitAfterMs: Type.Number({ minimum: 0, default: 50 }),
  heartbeatMs: Type.Integer({ minimum: 10, maximum: maxTimeoutMs, default: 15_000 }),
  stallTimeoutMs: Type.Integer({ minimum: 10, maximum: maxTimeoutMs, default: 30_000 }),
  maxFrameBytes: Type.Integer({ minimum: 1_024, default: 1_048_576 }),
  // The path of a url, without a slash at its end.
  publicPrefix: Type.String({ pattern: '^(?:/[A-Za-z0-9._~%!$&\'()*+,;=:@-]+)*$', default: '' })
})

/** Options of the plugin: those of the mediator, and of all command routes. Unknown keys are refused. */
export interface StreamingMediatorOptions extends Omit<MediatorOptions, 'scope'> {
  /** How long a handler may take to fail with an HTTP status, in milliseconds; `Infinity` waits for the first yield. @default 50 */
  readonly commitAfterMs?: number
  /** A comment is sent after this many milliseconds of silence, so that proxies keep the connection. @default 15000 */
  readonly heartbeatMs?: number
  /** A client that has not read for this many milliseconds is cut, and its stream ended with reason `stalled`. @default 30000 */
  readonly stallTimeoutMs?: number
  /** The longest frame, in bytes; a value that makes a longer one fails its stream. @default 1048576 */
  readonly maxFrameBytes?: number
  /** Says whom a command of a route runs for: `context.caller` of its handlers. Plain data. @default no caller */
  readonly caller?: (request: FastifyRequest) => Caller | undefined | Promise<Caller | undefined>
  /**
   * Says whose stream it is, for `maxStreamsPerOwner` and, where streams are kept, who may read and cancel it: a user's or tenant's id; for
   * the limit alone also an address. `'public'` lets whoever has a stream's id read and cancel it. @default nobody's: streams are counted together
   */
  readonly owner?: OwnerOption
  /** What becomes of a stream whose client leaves, and whether it is kept. @default 'abort' */
  readonly onDisconnect?: OnDisconnect
  /** Keeps the streams of routes that do; it is closed with the app. @default a MemoryStreamLog */
  readonly streamLog?: StreamLog
  /** What a proxy in front takes off the paths that clients see, such as `/api`. @default no prefix */
  readonly publicPrefix?: string
  /**
   * Makes the scope in which the handler classes of a stream or publish are resolved, and which is disposed when that has settled.
   * There is no request for calls of `app.mediator`. @default classes are made without arguments
   */
  readonly scope?: (request?: FastifyRequest) => Scope
}

const plugin: FastifyPluginAsync<StreamingMediatorOptions> = async (
  app,
  { commitAfterMs, heartbeatMs, stallTimeoutMs, maxFrameBytes, publicPrefix, caller, owner, scope, onDisconnect = 'abort', streamLog, ...options }
) => {
  assertScopeOption('streamingMediator', scope)
  const invalid = (reason: string): Error => new InvalidOptionsError('streamingMediator', reason)
  if (caller !== undefined && typeof caller !== 'function') throw invalid('caller must be a function')
  if (owner !== undefined && !isOwnerOption(owner)) throw invalid("owner must be a function or 'public'")
  if (!isOnDisconnect(onDisconnect)) throw invalid("onDisconnect must be 'abort', 'continue' or { graceMs }")
  if (streamLog !== undefined && typeof (streamLog as Partial<StreamLog> | null)?.open !== 'function') throw invalid('streamLog must be a StreamLog')
  const mediator = new StreamingMediator({ logger: app.log, ...options, ...(scope !== undefined && { scope: () => scope() }) })
  // `handlerTimeout` is there, and missing in its type.
  const config = app.initialConfig as typeof app.initialConfig & { readonly handlerTimeout?: number }
  const http = parseOptions('streamingMediator', httpOptionsSchema, { commitAfterMs, heartbeatMs, stallTimeoutMs, maxFrameBytes, publicPrefix })
  // A connection that is silent for as long as its timeout is cut.
  const longestSilenceMs = config.connectionTimeout ? Math.max(10, config.connectionTimeout / 2) : Infinity
  const replies = new OpenReplies({ ...http, heartbeatMs: Math.min(http.heartbeatMs, longestSilenceMs) })
  app.decorate('mediator', mediator)
  app.decorate(openReplies, replies)
  const log = streamLog ?? new MemoryStreamLog({ stallTimeoutMs: http.stallTimeoutMs })
  app.decorate(keptStreams, new KeptStreams(log, http.publicPrefix))
  const defaults = { commitAfterMs: http.commitAfterMs, maxFrameBytes: http.maxFrameBytes, onDisconnect, caller, owner, scope }
  app.decorate(routeDefaults, defaults)

  const closeSessions = trackHttp2Sessions(app)
  const cutUnused = trackConnections(app)
  const routed = new Set<CommandDefinition>()
  app.addHook('onRoute', route => {
    const command = commandOf(route.handler)
    if (command === undefined) return
    routed.add(command)
    keepsStreams(route.handler, defaults)
    // The server's would cut a stream in the middle. The option of a route cannot be 0.
    if (config.handlerTimeout) route.handlerTimeout ??= maxTimeoutMs
  })
  const assertHandlers = (): void => {
    for (const command of routed) {
      if (!mediator.hasHandler(command)) throw new UnknownCommandError(command.name)
    }
  }
  // The first hook of the mediator: after the mappers, and before the hooks of the app, which may have effects.
  mediator.onStartup(assertHandlers)
  app.addHook('onReady', async () => {
    await mediator.ready()
    // An app may have called `ready` itself, when some of its routes were still to come.
    assertHandlers()
  })
  app.addHook('preClose', async () => {
    await mediator.close()
    closeSessions(drainMs)
    await replies.close(drainMs)
    cutUnused(drainMs)
    await log.close()
  })
}

/** Decorates a Fastify instance with `mediator` and ends its streams when it closes. */
export const streamingMediator = fp(plugin, { fastify: '^5.8.5', name: 'fastify-streaming-mediator' })

export default streamingMediator
