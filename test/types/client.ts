// Compiled by `tsc -p .`, never run: what a client infers, and what must not compile.
import { Type } from '@sinclair/typebox'
import { defineCommand, defineQuery } from '../../index.js'
import { ClientError, createClient } from '../../lib/client/index.js'
import type { Client, ClientErrorKind, ClientProblem, ClientStream, ClientStreamState, Sent } from '../../lib/client/index.js'
import { expectType, expectValue } from './expect-type.js'
import type { Equal } from './expect-type.js'

export const ProcessFiles = defineCommand({
  name: 'process-files',
  input: Type.Object({ fileIds: Type.Array(Type.String()), label: Type.Optional(Type.String()) }),
  progress: Type.Object({ fileId: Type.String(), sizeBytes: Type.Integer() }),
  result: Type.Object({ processed: Type.Integer() })
})
export const Countdown = defineQuery({ name: 'countdown', input: Type.Null(), progress: { tick: Type.Object({ remaining: Type.Integer() }), lap: Type.String() } })
export const Named = defineQuery({ name: 'named', input: Type.Null(), progress: { tick: Type.Integer(), progress: Type.String() } })
export const Add = defineCommand({ name: 'add', input: Type.Object({ a: Type.Integer() }), result: Type.Integer() })
export const Report = defineCommand({
  name: 'report',
  input: Type.Object({ since: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) }),
  progress: Type.Object({ at: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) }),
  result: Type.Object({ bytes: Type.Unsafe<bigint>({ type: 'integer' }), pages: Type.Array(Type.Unsafe<Date>({ type: 'string', format: 'date-time' })) })
})

interface Commands {
  'process-files': typeof ProcessFiles
  countdown: typeof Countdown
  named: typeof Named
  add: typeof Add
  report: typeof Report
}
const client = createClient<{ [Name in keyof Commands]: Commands[Name] }>({ baseUrl: '/commands' })
expectValue<Client<{ [Name in keyof Commands]: Commands[Name] }>>()(client)

const run = client.stream('process-files', { fileIds: ['a'] }, { signal: new AbortController().signal, idempotencyKey: 'a', lastEventId: 'b', method: 'GET', url: '/c' })
expectValue<ClientStream<{ fileId: string, sizeBytes: number }, { processed: number }>>()(run)
for await (const progress of run) expectValue<{ fileId: string, sizeBytes: number }>()(progress)
expectValue<{ processed: number }>()(await run.result)
expectValue<ClientStreamState>()(run.state)
expectValue<string | undefined>()(run.streamId)
run.onReconnect = ({ attempt, delayMs, error }) => {
  expectValue<number>()(attempt + delayMs)
  expectValue<ClientError>()(error)
}
// @ts-expect-error The server says how it stands.
run.state = 'open'

// Several kinds of progress are a union by event name.
for await (const progress of client.stream('countdown', null)) {
  expectValue<{ readonly event: 'tick', readonly data: { remaining: number } } | { readonly event: 'lap', readonly data: string }>()(progress)
  if (progress.event === 'tick') expectValue<number>()(progress.data.remaining)
}
// The frame of a kind that is named progress looks like that of a single schema.
for await (const progress of client.stream('named', null)) expectValue<{ readonly event: 'tick', readonly data: number } | string>()(progress)
for await (const progress of client.stream('add', { a: 1 })) expectValue<never>()(progress)

// What JSON makes of dates and bigints.
expectValue<{ bytes: number, pages: string[] }>()(await client.send('report', { since: '2020-01-01T00:00:00Z' }))
for await (const progress of client.stream('report', { since: '2020-01-01T00:00:00Z' })) expectValue<{ at: string }>()(progress)
expectType<Equal<Sent<{ readonly a?: Date, b: [bigint, 'x'], c: unknown, d: Date | null }>, { readonly a?: string, b: [number, 'x'], c: unknown, d: string | null }>>()

expectValue<number>()(await client.send('add', { a: 1 }, { method: 'GET' }))
expectValue<{ processed: number }>()(await client.attach<'process-files'>('/streams/x', { lastEventId: 'a' }).result)
expectValue<number>()(await client.attach<'add'>('/streams/x').result)

// @ts-expect-error There is no such command.
client.stream('process', { fileIds: [] })
// @ts-expect-error The input is that of the command.
client.stream('process-files', { fileIds: [1] })
// @ts-expect-error The input is needed.
client.stream('process-files')
// @ts-expect-error A result has no last event.
void client.send('add', { a: 1 }, { lastEventId: 'a' })
// @ts-expect-error A stream is read by GET.
client.attach('/streams/x', { method: 'POST' })
// @ts-expect-error A client needs to know where its commands are.
createClient({})

try {
  await run.result
} catch (error) {
  if (error instanceof ClientError) {
    expectValue<ClientErrorKind>()(error.kind)
    expectValue<ClientProblem | undefined>()(error.problem)
    expectValue<boolean>()(error.retryable)
  }
}
createClient({ baseUrl: '/', headers: { authorization: 'a' }, fetch: (url, init) => fetch(url, init), maxEventLength: 1, reconnect: { attempts: 1 } })
createClient({ baseUrl: '/', headers: () => ({ authorization: 'a' }) })
createClient({ baseUrl: '/', headers: async () => ({ authorization: 'a' }) })
