// Compiled by `tsc -p .`, never run: what is inferred, and what must not compile.
import { Type } from '@sinclair/typebox'
import { defineCommand, defineEvent, defineQuery } from '../../index.js'
import type { InputOf, PayloadOf, ProgressOf, ResultOf } from '../../index.js'
import { expectType } from './expect-type.js'
import type { Equal } from './expect-type.js'

const ProcessFiles = defineCommand({
  name: 'process-files',
  input: Type.Object({ fileIds: Type.Array(Type.String()), label: Type.Optional(Type.String()) }),
  progress: Type.Object({ fileId: Type.String(), sizeBytes: Type.Integer() }),
  result: Type.Object({ processed: Type.Integer() })
})

expectType<Equal<typeof ProcessFiles['name'], 'process-files'>>()
expectType<Equal<InputOf<typeof ProcessFiles>, { fileIds: string[], label?: string }>>()
expectType<Equal<ProgressOf<typeof ProcessFiles>, { fileId: string, sizeBytes: number }>>()
expectType<Equal<ResultOf<typeof ProcessFiles>, { processed: number }>>()

// Several kinds of progress are a union by event name.
const Countdown = defineQuery({
  name: 'countdown',
  input: Type.Null(),
  progress: { tick: Type.Object({ remaining: Type.Integer() }), lap: Type.String() }
})
expectType<Equal<ProgressOf<typeof Countdown>,
  { readonly event: 'tick', readonly data: { remaining: number } } | { readonly event: 'lap', readonly data: string }>>()
expectType<Equal<InputOf<typeof Countdown>, null>>()

// Without a result it is null, without progress there is none.
const Touch = defineCommand({ name: 'touch', input: Type.String() })
expectType<Equal<ResultOf<typeof Touch>, null>>()
expectType<Equal<ProgressOf<typeof Touch>, never>>()
expectType<Equal<typeof Touch['progress'], undefined>>()

// Dates and bigints have the type of the value, not of its text.
const Report = defineCommand({
  name: 'report',
  input: Type.Null(),
  result: Type.Object({
    at: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }),
    bytes: Type.Unsafe<bigint>({ type: 'integer' })
  })
})
expectType<Equal<ResultOf<typeof Report>, { at: Date, bytes: bigint }>>()

const FileProcessed = defineEvent({ name: 'file.processed', payload: Type.Object({ fileId: Type.String() }) })
expectType<Equal<typeof FileProcessed['name'], 'file.processed'>>()
expectType<Equal<PayloadOf<typeof FileProcessed>, { fileId: string }>>()

// @ts-expect-error A name is needed.
defineCommand({ input: Type.Null() })
// @ts-expect-error An input is needed.
defineCommand({ name: 'a' })
// @ts-expect-error A JSON schema is no TypeBox schema.
defineCommand({ name: 'a', input: { type: 'string' } })
// @ts-expect-error Progress is a schema or a record of schemas.
defineCommand({ name: 'a', input: Type.Null(), progress: 'text' })
// @ts-expect-error Each progress of a record is a schema.
defineCommand({ name: 'a', input: Type.Null(), progress: { tick: 'text' } })
// @ts-expect-error There is no such part.
defineCommand({ name: 'a', input: Type.Null(), output: Type.Null() })
// @ts-expect-error A definition does not change.
ProcessFiles.name = 'process-files'
// @ts-expect-error An event has a payload.
defineEvent({ name: 'a' })

void [Countdown, Touch, Report, FileProcessed]
