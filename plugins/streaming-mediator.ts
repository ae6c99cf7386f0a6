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
import { StreamingMediator } from '../lib/streaming-mediator.js'
import type { MediatorOptions } from '../lib/mediator-options.js'
import { commandOf, openReplies, routeDefaults } from '../routes/command-route.js'
import { trackHttp2Sessions } from '../routes/http2-sessions.js'
import { OpenReplies } from '../routes/open-replies.js'

// How long the last frames have to reach their readers when the app closes, in milliseconds.
const drainMs = 1_000

const httpOptionsSchema = Type.Object({
  commitAfterMs: Type.Number({ minimum: 0, default: 50 }),
  heartbeatMs: Type.Integer({ minimum: 10, maximum: maxTimeoutMs, default: 15_000 }),
  stallTimeoutMs: Type.Integer({ minimum: 10, maximum: maxTimeoutMs, default: 30_000 }),
  maxFrameBytes: Type.Integer({ minimum: 1_024, default: 1_048_576 })
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
  /** Says whose stream it is, for `maxStreamsPerOwner`: a user's or tenant's id, or an address. @default nobody's: streams are counted together */
  readonly owner?: (request: FastifyRequest) => string | undefined | Promise<string | undefined>
  /**
   * Makes the scope in which the handler classes of a stream or publish are resolved, and which is disposed when that has settled.
   * There is no request for calls of `app.mediator`. @default classes are made without arguments
   */
  readonly scope?: (request?: FastifyRequest) => Scope
}

const plugin: FastifyPluginAsync<StreamingMediatorOptions> = async (
  app, { commitAfterMs, heartbeatMs, stallTimeoutMs, maxFrameBytes, caller, owner, scope, ...options }
) => {
  assertScopeOption('streamingMediator', scope)
  for (const [name, option] of Object.entries({ caller, owner })) {
    if (option !== undefined && typeof option !== 'function') throw new InvalidOptionsError('streamingMediator', `${name} must be a function`)
  }
  const mediator = new StreamingMediator({ logger: app.log, ...options, ...(scope !== undefined && { scope: () => scope() }) })
  // `handlerTimeout` is there, and missing in its type.
  const config = app.initialConfig as typeof app.initialConfig & { readonly handlerTimeout?: number }
  const http = parseOptions('streamingMediator', httpOptionsSchema, { commitAfterMs, heartbeatMs, stallTimeoutMs, maxFrameBytes })
  // A connection that is silent for as long as its timeout is cut.
  const longestSilenceMs = config.connectionTimeout ? Math.max(10, config.connectionTimeout / 2) : Infinity
  const replies = new OpenReplies({ ...http, heartbeatMs: Math.min(http.heartbeatMs, longestSilenceMs) })
  app.decorate('mediator', mediator)
  app.decorate(openReplies, replies)
  app.decorate(routeDefaults, { commitAfterMs: http.commitAfterMs, maxFrameBytes: http.maxFrameBytes, caller, owner, scope })

  const closeSessions = trackHttp2Sessions(app)
  const routed = new Set<CommandDefinition>()
  app.addHook('onRoute', route => {
    const command = commandOf(route.handler)
    if (command === undefined) return
    routed.add(command)
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
  })
}

/** Decorates a Fastify instance with `mediator` and ends its streams when it closes. */
export const streamingMediator = fp(plugin, { fastify: '^5.8.5', name: 'fastify-streaming-mediator' })

export default streamingMediator
