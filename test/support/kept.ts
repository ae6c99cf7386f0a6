import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { MemoryStreamLog, commandRoute, streamRoutes } from '../../index.js'
import type { StreamingMediatorOptions } from '../../index.js'
import type { CommandRouteOptions } from '../../routes/command-route.js'
import { readFrames } from '../../lib/testing/index.js'
import type { Frame } from '../../lib/testing/index.js'
import { Count, createApp } from './app.js'
import type { LogLine } from './app.js'
import { StreamEnds } from './stream-ends.js'

/** An app that keeps streams, its log and what it knows of their ends. */
export interface KeptApp {
  readonly app: FastifyInstance
  readonly logs: LogLine[]
  readonly log: MemoryStreamLog
  readonly ends: StreamEnds
}

/** The user that a header names, as an app would find it in a session. */
export function userOf ({ headers }: { readonly headers: Readonly<Record<string, unknown>> }): string | undefined {
  return headers['x-user'] as string | undefined
}

/** An app with the streams routes at `/streams`, whose streams go on without a reader. */
export async function createKept (t: Test, options: StreamingMediatorOptions = {}, server: FastifyServerOptions = {}): Promise<KeptApp> {
  const log = new MemoryStreamLog()
  const { app, logs } = await createApp(t, { onDisconnect: 'continue', owner: 'public', streamLog: log, ...options }, server)
  await app.register(streamRoutes, { prefix: '/streams' })
  return { app, logs, log, ends: new StreamEnds(app.mediator) }
}

/** Adds a route of the command that counts, and listens. */
export async function listenTo (app: FastifyInstance, options: Partial<CommandRouteOptions<typeof Count>> = {}): Promise<number> {
  app.route(commandRoute(Count, { url: '/count', crossSite: true, ...options }))
  return await portOf(app)
}

/** Listens on a free port of the loopback address. */
export async function portOf (app: FastifyInstance): Promise<number> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

/** A whole answer. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly frames: Frame[]
  readonly json: any
}

export interface Question {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends a request over a socket and reads the whole answer. */
export async function ask (port: number, path: string, { method = 'POST', body = { to: 2 }, headers = {} }: Question = {}): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { ...(method === 'POST' && { 'content-type': 'application/json' }), ...headers },
    ...(method === 'POST' && { body: JSON.stringify(body) })
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    get frames () { return readFrames(text) },
    get json () { return JSON.parse(text) }
  }
}
