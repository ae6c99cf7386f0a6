import { Writable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import streamingMediator, { commandRoute, defineCommand, defineQuery } from '../../index.js'
import type { CommandDefinition, CommandRouteOptions, StreamEnd } from '../../index.js'
import { listen } from '../support/app.js'
import { queryInput } from './tables/queries.js'
import { surfaces, values } from './tables/values.js'
import { thrown, thrownWithTexts } from './tables/thrown.js'

const Text = Type.Object({ text: Type.String() })
const Row = Type.Object({ row: Type.Integer() })

/** One app for the whole table, and everything that it did. */
export interface AttackedServer {
  readonly app: FastifyInstance
  readonly port: number
  /** The inputs that handlers were started with, in order. */
  readonly started: unknown[]
  readonly ends: StreamEnd[]
  /** What was wrong with lines of the log; and how many there were. */
  readonly log: { lines: number, readonly wrong: string[] }
}

/** The url of a table's row. */
export function urlOf (table: string, name: string): string {
  return `/${table}/${name.replaceAll(/\W+/g, '-')}`
}

export async function createAttackedServer (t: Test): Promise<AttackedServer> {
  const log = { lines: 0, wrong: [] as string[] }
  const started: unknown[] = []
  const ends: StreamEnd[] = []
  const app = Fastify({ logger: { level: 'debug', stream: checkedLog(log) }, requestIdHeader: 'x-request-id' })
  t.teardown(() => app.close())
  await app.register(streamingMediator, { closeGraceMs: 0, owner: request => (request.body as { text?: string } | undefined)?.text })
  app.mediator.onStreamEnd(end => { ends.push(end) })

  const add = (definition: CommandDefinition, handler: (input: any) => unknown): void => {
    app.mediator.addHandler(definition, input => {
      started.push(input)
      return handler(input)
    })
  }
  // Each in both framings: NDJSON is chosen by the client.
  const route = (definition: CommandDefinition, url: string, options: Partial<CommandRouteOptions<CommandDefinition>> = {}): void => {
    app.route(commandRoute(definition, { url, ...options }))
    app.route(commandRoute(definition, { url: `/envelope${url}`, framing: 'envelope', ...options }))
  }

  for (const [index, { name, progress, result, yields, returns }] of surfaces.entries()) {
    const Surface = defineCommand({ name: `surface-${index}`, input: Text, progress, ...(result !== undefined && { result }) })
    add(Surface, async function * ({ text }) {
      if (yields !== undefined) yield yields(text)
      return returns?.(text)
    })
    route(Surface, urlOf('surface', name))
  }
  for (const [index, [name, schema, value]] of values.entries()) {
    const Value = defineCommand({ name: `value-${index}`, input: Type.Object({}), progress: schema })
    add(Value, async function * () { yield value })
    route(Value, urlOf('value', name))
  }
  // Before the first yield a failure is an HTTP status, after it a frame.
  for (const [index, { name, make }] of thrownWithTexts.entries()) {
    for (const late of [false, true]) {
      const Throw = defineCommand({ name: `throw-text-${index}-${String(late)}`, input: Text, progress: Type.Null() })
      add(Throw, async function * ({ text }) {
        if (late) yield null
        throw make(text)
      })
      route(Throw, urlOf(late ? 'throw-late' : 'throw', name))
    }
  }
  for (const late of [false, true]) {
    const Throw = defineCommand({ name: `throw-${String(late)}`, input: Row, progress: Type.Null() })
    add(Throw, async function * ({ row }) {
      if (late) yield null
      throw thrown[row]![1]
    })
    route(Throw, late ? '/throw-late' : '/throw')
  }

  const Strict = defineCommand({ name: 'strict', input: Type.Object({ n: Type.Integer(), text: Type.Optional(Type.String()) }), progress: Type.Any() })
  const Open = defineCommand({ name: 'open', input: Type.Any(), progress: Type.Any() })
  const Query = defineQuery({ name: 'query', input: queryInput, progress: Type.Any() })
  const Get = defineCommand({ name: 'get', input: Type.Object({}), progress: Type.Null() })
  const Feed = defineQuery({ name: 'feed', input: Type.Object({}), progress: Type.Any() })
  const Echo = defineQuery({ name: 'echo', input: Text, progress: Text })
  for (const definition of [Strict, Open, Query, Echo]) add(definition, async function * (input) { yield input })
  add(Get, async function * () { yield null })
  app.mediator.addHandler(Feed, async function * (input, { resumeAfter }) {
    started.push(input)
    yield resumeAfter ?? null
  })
  app.route(commandRoute(Strict, { url: '/strict' }))
  app.route(commandRoute(Open, { url: '/open' }))
  app.route(commandRoute(Query, { url: '/query', method: 'GET' }))
  app.route(commandRoute(Get, { url: '/command' }))
  app.route(commandRoute(Get, { url: '/command', method: 'GET' }))
  app.route(commandRoute(Feed, { url: '/feed', method: 'GET' }))
  app.route(commandRoute(Echo, { url: '/query-text', method: 'GET' }))
  app.route(commandRoute(Echo, { url: '/path/:text', method: 'GET', map: ({ params }) => params as { text: string } }))
  app.route(commandRoute(Echo, { url: '/header', method: 'GET', map: ({ headers }) => ({ text: String(headers['x-text']) }) }))
  return { app, port: await listen(app), started, ends, log }
}

// One line of JSON a write, and none of it of the attacker's making.
function checkedLog (log: AttackedServer['log']): Writable {
  return new Writable({
    write (chunk, _encoding, callback) {
      const text = String(chunk)
      log.lines++
      try {
        const line = JSON.parse(text)
        if (text.indexOf('\n') !== text.length - 1 || text.includes('\r') || 'forged' in line || typeof line.msg !== 'string') throw new Error('forged')
      } catch {
        log.wrong.push(text.slice(0, 1_000))
      }
      callback()
    }
  })
}
