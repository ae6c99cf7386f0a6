import type { FastifyRequest } from 'fastify'
import type { Caller } from '../lib/caller.js'
import type { Scope } from '../lib/scope.js'
import type { OnDisconnect } from './on-disconnect.js'
import type { OwnerOption } from './owner.js'

/** Where the plugin keeps what holds for routes that do not say otherwise. */
export const routeDefaults = Symbol('fastify-streaming-mediator.route-defaults')

/** Options of the plugin that hold for all command routes. */
export interface RouteDefaults {
  readonly commitAfterMs: number
  readonly maxFrameBytes: number
  readonly onDisconnect: OnDisconnect
  readonly caller: ((request: FastifyRequest) => Caller | undefined | Promise<Caller | undefined>) | undefined
  readonly owner: OwnerOption | undefined
  readonly scope: ((request: FastifyRequest) => Scope) | undefined
}

declare module 'fastify' {
  interface FastifyInstance {
    /** @internal */
    [routeDefaults]: RouteDefaults
  }
}
