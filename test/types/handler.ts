// Compiled by `tsc -p .`, never run: what is inferred, and what must not compile.
import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import { StreamingMediator, defineCommand, defineEvent, defineQuery } from '../../index.js'
import type {
  Emit, EmittedEvent, EventContext, EventDelivery, EventHandler, EventHandlerOptions, Handler, HandlerContext, HandlerOptions, Logger, MediatorCalls,
  MediatorStream, RegularHandler, StreamingHandler
} from '../../index.js'
import { expectType, expectValue } from './expect-type.js'
import type { Equal } from './expect-type.js'

const ProcessFiles = defineCommand({
  name: 'process-files',
  input: Type.Object({ fileIds: Type.Array(Type.String()) }),
  progress: Type.Object({ fileId: Type.String() }),
  result: Type.Object({ processed: Type.Integer() })
})
const Countdown = defineQuery({ name: 'countdown', input: Type.Null(), progress: { tick: Type.Integer(), lap: Type.String() } })
const Add = defineCommand({ name: 'add', input: Type.Object({ a: Type.Integer() }), result: Type.Integer() })
const Touch = defineCommand({ name: 'touch', input: Type.String() })
const Find = defineQuery({ name: 'find', input: Type.String(), result: Type.Union([Type.Integer(), Type.Null()]) })
const Anything = defineCommand({ name: 'anything', input: Type.Any(), progress: Type.Any(), result: Type.Any() })
const FileProcessed = defineEvent({ name: 'file.processed', payload: Type.Object({ fileId: Type.String() }) })
const mediator = new StreamingMediator()

// What is declared decides which handler it is.
expectType<Equal<Handler<typeof ProcessFiles>, StreamingHandler<typeof ProcessFiles>>>()
expectType<Equal<Handler<typeof Countdown>, StreamingHandler<typeof Countdown>>>()
expectType<Equal<Handler<typeof Add>, RegularHandler<typeof Add>>>()

// Inline handlers know their input and context.
mediator.addHandler(ProcessFiles, async function * (input, context) {
  expectValue<{ fileIds: string[] }>()(input)
  expectValue<HandlerContext>()(context)
  const { emit, signal, log, streamId, resumeAfter, mediator } = context
  expectValue<Emit>()(emit)
  expectValue<AbortSignal>()(signal)
  expectValue<Logger>()(log)
  expectValue<string>()(streamId)
  expectValue<number | undefined>()(resumeAfter)
  expectValue<MediatorCalls>()(mediator)
  for (const fileId of input.fileIds) {
    emit(FileProcessed, { fileId })
    yield { fileId }
  }
  yield undefined
  return { processed: input.fileIds.length }
})
mediator.addHandler(ProcessFiles, function * ({ fileIds }) {
  expectValue<string[]>()(fileIds)
  yield { fileId: 'a' }
  return { processed: 1 }
})
mediator.addHandler(Add, ({ a }) => a + 1)
mediator.addHandler(Add, async ({ a }, { signal }) => {
  expectValue<number>()(a)
  expectValue<AbortSignal>()(signal)
  return a
})
mediator.addHandler(Countdown, async function * () {
  yield { event: 'tick', data: 1 }
  yield { event: 'lap', data: 'one' }
})
mediator.addHandler(Anything, async function * (input) { yield input })

// Where the result may be null, nothing need be returned.
mediator.addHandler(Touch, () => {})
mediator.addHandler(Touch, async () => {})
mediator.addHandler(Touch, () => null)
mediator.addHandler(Find, async text => { if (text !== '') return text.length })

// What is declared with its type is taken as well.
const processFiles: Handler<typeof ProcessFiles> = async function * ({ fileIds }, { emit }) {
  for (const fileId of fileIds) {
    emit(FileProcessed, { fileId })
    yield { fileId }
  }
  return { processed: fileIds.length }
}
mediator.addHandler(ProcessFiles, processFiles)
const add: Handler<typeof Add> = async ({ a }) => a
mediator.addHandler(Add, add)

// A handler may hand on what another streams.
mediator.addHandler(ProcessFiles, (input, context) => processFiles(input, context))
mediator.addHandler(Anything, async () => Readable.from(['a']))

// @ts-expect-error Progress of another type.
mediator.addHandler(ProcessFiles, async function * () { yield { fileId: 5 }; return { processed: 1 } })
// @ts-expect-error A result of another type.
mediator.addHandler(ProcessFiles, async function * () { yield { fileId: 'a' }; return { processed: '1' } })
// @ts-expect-error The result is missing.
mediator.addHandler(ProcessFiles, async function * () { yield { fileId: 'a' } })
// @ts-expect-error An event that is not declared.
mediator.addHandler(Countdown, async function * () { yield { event: 'tack', data: 1 } })
// @ts-expect-error The data of another event.
mediator.addHandler(Countdown, async function * () { yield { event: 'tick', data: 'one' } })
// @ts-expect-error Progress without its name.
mediator.addHandler(Countdown, async function * () { yield 1 })
// @ts-expect-error Nothing is declared to be yielded.
mediator.addHandler(Add, async function * () { yield 1; return 1 })
// @ts-expect-error Nothing is declared to be yielded, and nothing returned.
mediator.addHandler(Touch, async function * () { yield 1 })
// @ts-expect-error A result of another type.
mediator.addHandler(Add, async () => 'text')
// @ts-expect-error The result is missing.
mediator.addHandler(Add, async () => {})
// @ts-expect-error An input of another type.
mediator.addHandler(Add, async (input: { a: string }) => input.a.length)
// @ts-expect-error No function.
mediator.addHandler(Add, 5)
// @ts-expect-error A name is no definition.
mediator.addHandler('add', () => 1)
// @ts-expect-error Progress of another type.
const wrongProgress: Handler<typeof ProcessFiles> = async function * () { yield 'a'; return { processed: 1 } }
// @ts-expect-error A regular handler cannot stand in for a streaming one.
const regular: StreamingHandler<typeof ProcessFiles> = async () => ({ processed: 1 })
// @ts-expect-error A payload of another type.
mediator.addHandler(Add, ({ a }, { emit }) => { emit(FileProcessed, { fileId: 5 }); return a })
// @ts-expect-error A command is no event.
mediator.addHandler(Add, ({ a }, { emit }) => { emit(Add, { a }); return a })
void [wrongProgress, regular]

// Event handlers know their event.
mediator.addEventHandler(FileProcessed, async (event, context) => {
  expectValue<'file.processed'>()(event.name)
  expectValue<{ fileId: string }>()(event.payload)
  expectValue<EventContext>()(context)
  const { emit, signal, log, mediator } = context
  expectValue<Emit>()(emit)
  expectValue<AbortSignal>()(signal)
  expectValue<Logger>()(log)
  expectValue<MediatorCalls>()(mediator)
  emit(FileProcessed, event.payload)
  expectValue<number>()(await mediator.send(Add, { a: 1 }))
  expectValue<{ processed: number }>()(await mediator.stream(ProcessFiles, { fileIds: [] }).result)
  await mediator.publish(FileProcessed, event.payload)
  // @ts-expect-error A payload of another type.
  emit(FileProcessed, { fileId: 5 })
  // @ts-expect-error An input of another type.
  await mediator.send(Add, { a: '1' })
  // @ts-expect-error A payload of another type.
  await mediator.publish(FileProcessed, { fileId: 5 })
  // @ts-expect-error Handlers call the mediator, they do not close it.
  await mediator.close()
})
const onFileProcessed: EventHandler<typeof FileProcessed> = ({ payload: { fileId } }) => fileId
mediator.addEventHandler(FileProcessed, onFileProcessed)

// The policies of an event handler, and the delivery of a command's events.
mediator.addEventHandler(FileProcessed, onFileProcessed, { retries: 2, timeoutMs: 500, onError: 'log' })
mediator.addEventHandler(FileProcessed, onFileProcessed, {
  onError: (error, event, context) => {
    expectValue<unknown>()(error)
    expectValue<EmittedEvent<typeof FileProcessed>>()(event)
    expectValue<EventContext>()(context)
  }
})
const policy: EventHandlerOptions = { onError: 'fail' }
mediator.addEventHandler(FileProcessed, onFileProcessed, policy)
const delivery: HandlerOptions = { eventDelivery: 'before-progress', maxStreamMs: 1_000 }
mediator.addHandler(ProcessFiles, processFiles, delivery)
mediator.addHandler(Add, ({ a }) => a, { eventOrder: 'sequential' })
expectType<Equal<Pick<HandlerOptions, keyof EventDelivery>, Partial<EventDelivery>>>()
// @ts-expect-error An unknown policy.
mediator.addEventHandler(FileProcessed, onFileProcessed, { onError: 'ignore' })
// @ts-expect-error The function is for another event.
mediator.addEventHandler(FileProcessed, onFileProcessed, { onError: (_error: unknown, event: { payload: { fileId: number } }) => event.payload.fileId })
// @ts-expect-error An unknown option.
mediator.addEventHandler(FileProcessed, onFileProcessed, { retry: 2 })
// @ts-expect-error A number is wanted.
mediator.addEventHandler(FileProcessed, onFileProcessed, { retries: '2' })
// @ts-expect-error An unknown delivery.
mediator.addHandler(ProcessFiles, processFiles, { eventDelivery: 'late' })
// @ts-expect-error The limit is the mediator's.
mediator.addHandler(Add, ({ a }) => a, { maxPendingEvents: 5 })
// @ts-expect-error A payload of another type.
mediator.addEventHandler(FileProcessed, ({ payload }: { payload: { fileId: number } }) => payload)
// @ts-expect-error A command is no event.
mediator.addEventHandler(Add, () => {})

// Callers know what comes back.
async function call (): Promise<void> {
  const stream = mediator.stream(ProcessFiles, { fileIds: ['a'] })
  expectValue<MediatorStream<typeof ProcessFiles>>()(stream)
  for await (const progress of stream) expectValue<{ fileId: string }>()(progress)
  expectValue<{ processed: number }>()(await stream.result)
  for await (const progress of mediator.stream(Countdown, null)) {
    if (progress.event === 'tick') expectValue<number>()(progress.data)
    else expectValue<string>()(progress.data)
  }
  expectValue<number>()(await mediator.send(Add, { a: 1 }))
  expectValue<null>()(await mediator.send(Touch, 'a'))
  expectValue<number | null>()(await mediator.send(Find, 'a', { signal: new AbortController().signal }))
  await mediator.publish(FileProcessed, { fileId: 'a' })

  // @ts-expect-error An input of another type.
  mediator.stream(ProcessFiles, { fileIds: [1] })
  // @ts-expect-error The input is missing.
  mediator.stream(ProcessFiles)
  // @ts-expect-error An unknown key.
  mediator.stream(ProcessFiles, { fileIds: [], more: true })
  // @ts-expect-error An input of another type.
  await mediator.send(Add, { a: '1' })
  // @ts-expect-error An event is not sent.
  await mediator.send(FileProcessed, { fileId: 'a' })
  // @ts-expect-error A payload of another type.
  await mediator.publish(FileProcessed, { fileId: 5 })
  // @ts-expect-error The payload is missing.
  await mediator.publish(FileProcessed)
  // @ts-expect-error A command is not published.
  await mediator.publish(Add, { a: 1 })
  // @ts-expect-error An unknown option.
  mediator.stream(Touch, 'a', { timeout: 5 })
  // @ts-expect-error A number is no signal.
  mediator.stream(Touch, 'a', { signal: 5 })
}
void call

void new StreamingMediator({ eventDelivery: 'before-progress', eventOrder: 'sequential', maxEventDepth: 3 })
// @ts-expect-error An unknown option.
void new StreamingMediator({ maxEvents: 5 })
// @ts-expect-error An unknown order.
void new StreamingMediator({ eventOrder: 'random' })
// @ts-expect-error A value of another type.
void new StreamingMediator({ maxPendingEvents: '5' })
