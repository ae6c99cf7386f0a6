import type { FastifyPluginAsync } from 'fastify'
import { InvalidOptionsError, PluginMissingError } from '../lib/errors.js'
import { maxTimeoutMs } from '../lib/max-timeout.js'
import { validatorCompiler } from '../routes/input-validator.js'
import { keptStreams } from '../routes/kept-streams.js'
import { isOwnerOption } from '../routes/owner.js'
import type { OwnerOption } from '../routes/owner.js'
import { replyWithProblem } from '../routes/problem-reply.js'
import { routeDefaults } from '../routes/route-defaults.js'
import { StreamRoutes, listQuery } from '../routes/stream-routes.js'

/** Options of {@link streamRoutes}. */
export interface StreamRoutesOptions {
  /** Says who asks. Streams that are `'public'` are read and cancelled by whoever knows their id, whatever it says. @default the plugin's */
  readonly owner?: OwnerOption
}

/**
 * Registers the routes by which streams that are kept are read, resumed, cancelled and listed, at the plugin's `prefix`. Hooks of the
 * instance that it is registered on hold for them. There is no list where `owner` is `'public'`.
 * @throws MEDIATOR_ERR_PLUGIN_MISSING, MEDIATOR_ERR_INVALID_OPTIONS
 */
export const streamRoutes: FastifyPluginAsync<StreamRoutesOptions> = async (app, options) => {
  if (!app.hasDecorator('mediator')) throw new PluginMissingError()
  const { owner = app[routeDefaults].owner } = options
  if (!isOwnerOption(owner)) throw new InvalidOptionsError('streamRoutes', "owner must be a function or 'public', here or as the plugin's")
  // It stands in urls that clients get.
  if (!/^(?:\/[^/:*?#]+)+$/.test(app.prefix)) throw new InvalidOptionsError('streamRoutes', 'prefix must be a path without parameters, such as /streams')
  app[keptStreams].prefix ??= encodeURI(app.prefix)
  // A body says nothing here. It is not waited for either: a client that does not send what it has announced would hold up the close.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume()
    done(null)
  })
  const routes = new StreamRoutes(owner)
  const shared = {
    errorHandler: replyWithProblem,
    // @fastify/compress would hold frames back.
    compress: false as const,
    // The server's would cut a stream in the middle.
    ...((app.initialConfig as { handlerTimeout?: number }).handlerTimeout ? { handlerTimeout: maxTimeoutMs } : {})
  }
  app.route({ ...shared, method: 'GET', url: '/:streamId', handler: async (request, reply) => await routes.read(request, reply) })
  app.route({ ...shared, method: 'DELETE', url: '/:streamId', handler: async (request, reply) => await routes.cancel(request, reply) })
  if (owner === 'public') return
  app.route({
    ...shared,
    method: 'GET',
    url: '/',
    schema: { querystring: listQuery },
    validatorCompiler,
    handler: async (request, reply) => await routes.list(request, reply)
  })
}
