import { Writable } from 'node:stream'
import type { AddressInfo } from 'node:net'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import streamingMediator, { defineCommand, defineQuery } from '../../index.js'
import type { StreamingMediatorOptions } from '../../index.js'

/** A command that counts; what it does is up to the handler of the test. */
export const Count = defineCommand({
  name: 'count',
  input: Type.Object({ to: Type.Integer({ minimum: 0 }), label: Type.String({ default: 'n' }) }),
  progress: Type.Object({ n: Type.Integer(), text: Type.Optional(Type.String()) }),
  result: Type.Object({ total: Type.Integer() })
})

/** The same as a query. */
export const Watch = defineQuery({
  name: 'watch',
  input: Type.Object({ to: Type.Integer() }),
  progress: { tick: Type.Object({ n: Type.Integer() }), tock: Type.Object({ after: Type.Union([Type.Integer(), Type.Null()]) }) }
})

/** A regular command: no progress. */
export const Add = defineCommand({
  name: 'add',
  input: Type.Object({ a: Type.Integer(), b: Type.Integer() }),
  result: Type.Integer()
})

/** One line of a log, as pino writes it. */
export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly [key: string]: unknown
}

/** An app with the plugin and a log that the test can read. It closes with the test. */
export async function createApp (
  t: Test,
  options: StreamingMediatorOptions = {},
  server: FastifyServerOptions = {}
): Promise<{ app: FastifyInstance, logs: LogLine[] }> {
  const { logs, logger } = createLog()
  const app = Fastify({ logger, ...server })
  t.teardown(() => app.close())
  await app.register(streamingMediator, { closeGraceMs: 0, ...options })
  return { app, logs }
}

/** A destination for pino that keeps what is logged. */
export function createLog (): { logs: LogLine[], logger: { level: string, stream: Writable } } {
  const logs: LogLine[] = []
  const stream = new Writable({
    write (chunk, _encoding, callback) {
      logs.push(JSON.parse(String(chunk)))
      callback()
    }
  })
  return { logs, logger: { level: 'debug', stream } }
}

/** Listens on a free port of the loopback address. */
export async function listen (app: FastifyInstance): Promise<number> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

/** A promise with its resolvers. */
export function deferred<T = void> (): { promise: Promise<T>, resolve: (value: T) => void, reject: (error: unknown) => void } {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((_resolve, _reject) => {
    resolve = _resolve
    reject = _reject
  })
  return { promise, resolve, reject }
}
