import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { commandRoute } from '../../index.js'
import { complete } from './complete.js'
import { Chat } from './contracts.js'
import { ChatBusyError } from './errors.js'
import { OfflineUpstream } from './offline-upstream.js'
import type { ChatLimits, Upstream } from './upstream.js'

export interface ChatOptions extends Partial<ChatLimits> {
  /** The model. @default a server of the app's own that answers from the docs */
  readonly upstream?: Upstream | undefined
  /** How long a token of that server takes, in milliseconds. @default 33 */
  readonly offlineTokenMs?: number
  /** How long an answer goes on while nobody reads it, in milliseconds: as long as a page takes to be loaded again. @default 5_000 */
  readonly graceMs?: number
}

// A model thinks before its first token. Until then its refusal is a status; after that the stream begins, so that no proxy loses its patience.
const commitAfterMs = 5_000

/** `POST /commands/chat`, which ends with its client, and `POST /jobs/chat`, which a page reads on after a reload. */
export const chat = fastifyPlugin<ChatOptions>(async (app, { upstream, silenceMs = 30_000, deadlineMs = 120_000, offlineTokenMs = 33, graceMs = 5_000 }) => {
  const offline = new OfflineUpstream(offlineTokenMs)
  app.addHook('onClose', async () => await offline.close())

  app.mediator.addHandler(Chat, async function * ({ messages }, { signal }) {
    return yield * complete(upstream ?? await offline.start(), messages, { silenceMs, deadlineMs }, signal)
  })

  app.route(tellingWhen(commandRoute(Chat, {
    url: '/commands/chat', commitAfterMs, schema: { summary: 'Asks a language model; who leaves stops its answer' }
  })))
  app.route(tellingWhen(commandRoute(Chat, {
    url: '/jobs/chat',
    commitAfterMs,
    onDisconnect: { graceMs },
    owner: 'public',
    schema: { summary: 'Asks a language model; its answer can be read on at /streams/<its id>' }
  })))
})

/** Hands on how long a model's server wants to be left alone. Without it a client would be told to come back within seconds. */
function tellingWhen (route: RouteOptions<any, any, any>): RouteOptions<any, any, any> {
  const { errorHandler } = route
  return {
    ...route,
    errorHandler (error, request, reply) {
      setRetryAfter(error, reply)
      return errorHandler!.call(this, error, request as FastifyRequest, reply as FastifyReply)
    }
  }
}

function setRetryAfter (error: unknown, reply: { header: (name: string, value: number) => unknown }): void {
  if (error instanceof ChatBusyError && error.retryAfterS !== undefined) reply.header('retry-after', error.retryAfterS)
}
