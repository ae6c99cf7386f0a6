// Compiled by `tsc -p .`, never run: limits, the ends of streams, and what must not compile.
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import streamingMediator, { StreamingMediator, commandRoute, defineCommand } from '../../index.js'
import type { EndReason, HandlerOptions, MediatorOptions, MediatorStats, StreamEnd, StreamEndHook, StreamOptions } from '../../index.js'
import { expectValue } from './expect-type.js'

const Add = defineCommand({ name: 'add', input: Type.Object({ a: Type.Integer() }), result: Type.Integer() })

const options: MediatorOptions = { maxStreams: 1, maxStreamsPerOwner: Infinity, maxStreamMs: 1.5 }
const mediator = new StreamingMediator(options)
const own: HandlerOptions = { maxStreamMs: Infinity }
mediator.addHandler(Add, ({ a }) => a, own)
// @ts-expect-error Streams are counted over all commands.
mediator.addHandler(Add, ({ a }) => a, { maxStreams: 1 })
// @ts-expect-error Frames are HTTP's.
void new StreamingMediator({ maxFrameBytes: 2_000 })

// Owners.
const call: StreamOptions = { owner: 'ada' }
void mediator.send(Add, { a: 1 }, call)
void mediator.stream(Add, { a: 1 }, { owner: undefined })
// @ts-expect-error An owner is a text.
void mediator.send(Add, { a: 1 }, { owner: 5 })
const app = Fastify()
void app.register(streamingMediator, {
  maxFrameBytes: 2_000, heartbeatMs: 5_000, stallTimeoutMs: 5_000, maxStreams: 5, maxStreamsPerOwner: 5, maxStreamMs: 5, owner: ({ ip }) => ip
})
void app.register(streamingMediator, { owner: async ({ headers }) => headers.authorization })
// @ts-expect-error Headers may be lists.
void app.register(streamingMediator, { owner: ({ headers }) => headers['x-user'] })
commandRoute(Add, { url: '/add', owner: request => request.ip })
commandRoute(Add, { url: '/add', owner: async () => undefined })
// @ts-expect-error An owner is a text.
commandRoute(Add, { url: '/add', owner: () => null })

// Ends.
mediator.onStreamEnd(end => {
  expectValue<StreamEnd>()(end)
  expectValue<EndReason>()(end.reason)
  expectValue<string | undefined>()(end.owner)
  expectValue<unknown>()(end.error)
  expectValue<number>()(end.durationMs + end.events + end.frames + end.bytes)
  // @ts-expect-error Hooks share it.
  end.reason = 'completed'
})
const hook: StreamEndHook = async ({ reason }) => {
  switch (reason) {
    case 'completed':
    case 'failed':
    case 'client-closed':
    case 'cancelled':
    case 'deadline':
    case 'stalled':
    case 'shutdown':
    case 'abandoned':
    case 'lost':
      return
    default:
      expectValue<never>()(reason)
  }
}
mediator.onStreamEnd(hook)
// @ts-expect-error There is nothing to wait for.
void mediator.onStreamEnd(hook).then()
expectValue<MediatorStats>()(mediator.stats())
expectValue<number>()(mediator.stats().owners)
