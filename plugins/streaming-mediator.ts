import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { UnknownCommandError } from '../lib/errors.js'
import type { CommandDefinition } from '../lib/definition.js'
import { parseOptions } from '../lib/options.js'
import { StreamingMediator } from '../lib/streaming-mediator.js'
import type { MediatorOptions } from '../lib/streaming-mediator.js'
import { commandOf, openReplies } from '../routes/command-route.js'
import { OpenReplies } from '../routes/open-replies.js'

// How long the last frames have to reach their readers when the app closes, in milliseconds.
const drainMs = 1_000

const httpOptionsSchema = Type.Object({
  commitAfterMs: Type.Number({ minimum: 0, default: 50 }),
  heartbeatMs: Type.Integer({ minimum: 10, maximum: 2 ** 31 - 1, default: 15_000 })
})

/** Options of the plugin: those of the mediator, and of all command routes. Unknown keys are refused. */
export interface StreamingMediatorOptions extends MediatorOptions {
  /** How long a handler may take to fail with an HTTP status, in milliseconds; `Infinity` waits for the first yield. @default 50 */
  readonly commitAfterMs?: number
  /** A comment is sent after this many milliseconds of silence, so that proxies keep the connection. @default 15000 */
  readonly heartbeatMs?: number
}

const plugin: FastifyPluginAsync<StreamingMediatorOptions> = async (app, { commitAfterMs, heartbeatMs, ...options }) => {
  const mediator = new StreamingMediator({ logger: app.log, ...options })
  const replies = new OpenReplies(parseOptions('streamingMediator', httpOptionsSchema, { commitAfterMs, heartbeatMs }))
  app.decorate('mediator', mediator)
  app.decorate(openReplies, replies)

  const routed = new Set<CommandDefinition>()
  app.addHook('onRoute', ({ handler }) => {
    const command = commandOf(handler)
    if (command !== undefined) routed.add(command)
  })
  app.addHook('onReady', async () => {
    for (const command of routed) {
      if (!mediator.hasHandler(command)) throw new UnknownCommandError(command.name)
    }
  })
  app.addHook('preClose', async () => {
    await mediator.close()
    await replies.close(drainMs)
  })
}

/** Decorates a Fastify instance with `mediator` and ends its streams when it closes. */
export const streamingMediator = fp(plugin, { fastify: '^5.8.5', name: 'fastify-streaming-mediator' })

export default streamingMediator
