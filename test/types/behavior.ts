// Compiled by `tsc -p .`, never run: behaviors, chains, fallbacks and breakers, and what must not compile.
import { Type } from '@sinclair/typebox'
import { ConsecutiveBreaker, SamplingBreaker, circuitBreaker, handleAll, handleType, wrap } from 'cockatiel'
import { StreamingMediator, defineCommand, defineEvent, withFallback } from '../../index.js'
import type {
  Behavior, BehaviorCall, Breaker, CallContext, ChainContext, ChainHandler, CommandDefinition, Delivered, Emit, EventContext, EventDefinition, EventHandler,
  FallbackContext, FallbackHandler, Handler, HandlerContext
} from '../../index.js'
import { expectValue } from './expect-type.js'

const Convert = defineCommand({
  name: 'convert',
  input: Type.Object({ path: Type.String() }),
  progress: Type.Object({ page: Type.Integer() }),
  result: Type.Object({ pages: Type.Integer() })
})
const Add = defineCommand({ name: 'add', input: Type.Object({ a: Type.Integer() }), result: Type.Integer() })
const Countdown = defineCommand({ name: 'countdown', input: Type.Null(), progress: { tick: Type.Integer(), lap: Type.String() } })
const Booked = defineEvent({ name: 'booked', payload: Type.Object({ id: Type.String() }) })
const mediator = new StreamingMediator()

// Behaviors.
mediator.addBehavior(async function * (call, next) {
  expectValue<BehaviorCall>()(call)
  expectValue<unknown>()(call.input)
  if (call.kind === 'stream') {
    expectValue<CommandDefinition>()(call.definition)
    expectValue<HandlerContext>()(call.context)
  } else {
    expectValue<EventDefinition>()(call.definition)
    expectValue<CallContext>()(call.context)
  }
  const emit: Emit = () => {}
  yield * next({ input: 1, emit })
  return yield * next()
})
const behavior: Behavior = async function * (_call, next) {
  for await (const progress of next()) {
    expectValue<unknown>()(progress)
    yield progress
  }
}
mediator.addBehavior(behavior)
// @ts-expect-error An async function is no generator.
mediator.addBehavior(async (_call, next) => next())
// @ts-expect-error A publish has no emit.
mediator.addBehavior(async function * ({ context }, next) { context.emit(Booked, { id: 'a' }); return yield * next() })
// @ts-expect-error There is no such change.
mediator.addBehavior(async function * (_call, next) { return yield * next({ output: 1 }) })

// Chains.
mediator.addHandler(Convert, [
  async function * (input, context) {
    expectValue<{ path: string }>()(input)
    expectValue<ChainContext<typeof Convert>>()(context)
    for await (const progress of context.next()) {
      expectValue<{ page: number }>()(progress)
      yield progress
    }
    return yield * context.next({ path: 'a' })
  },
  class { async * handle (): AsyncGenerator<{ page: number }, { pages: number }, void> { return { pages: 1 } } },
  'name in the scope'
])
mediator.addHandler(Add, [async ({ a }, { next }) => {
  expectValue<number>()(await next({ a: a + 1 }))
  return await next()
}, ({ a }) => a])
const link: ChainHandler<typeof Add> = async (_input, { next }) => await next()
mediator.addHandler(Add, [link])
// @ts-expect-error An input of another type.
mediator.addHandler(Add, [async (_input, { next }) => await next({ a: 'text' })])
// @ts-expect-error A result of another type.
mediator.addHandler(Add, [async () => 'text'])
// @ts-expect-error Without progress there is nothing to iterate.
mediator.addHandler(Add, [async function * (_input, { next }) { return yield * next() }])

// Fallbacks that are written inline know input, context and what was delivered.
mediator.addHandler(Convert, withFallback(
  async function * (input, context) {
    expectValue<{ path: string }>()(input)
    expectValue<HandlerContext>()(context)
    yield { page: 1 }
    return { pages: 1 }
  },
  async function * (input, { delivered, signal }) {
    expectValue<{ path: string }>()(input)
    expectValue<Delivered<{ page: number }>>()(delivered)
    expectValue<number | undefined>()(delivered.last?.page)
    expectValue<AbortSignal>()(signal)
    yield { page: delivered.count + 1 }
    return { pages: 2 }
  }))
mediator.addHandler(Add, withFallback(async ({ a }) => a, ({ a }, { log }) => {
  log.info('sync')
  return a
}))
// TypeScript widens what an inline generator yields here: an event's name says that it is constant.
mediator.addHandler(Countdown, withFallback(async function * () {
  yield { event: 'tick' as const, data: 1 }
}, async function * (_input, { delivered: { last } }) {
  if (last !== undefined) expectValue<number>()(last.data)
  yield { event: 'lap' as const, data: 'one' }
}))
mediator.addEventHandler(Booked, withFallback(async ({ payload }, context) => {
  expectValue<{ id: string }>()(payload)
  expectValue<EventContext>()(context)
}, ({ payload }, context) => {
  expectValue<{ id: string }>()(payload)
  expectValue<EventContext>()(context)
}))

// Declared ones, classes and nested ones fit as well.
const primary: Handler<typeof Convert> = async function * () { return { pages: 1 } }
const fallback: FallbackHandler<typeof Convert> = async function * (_input, context) {
  expectValue<FallbackContext<typeof Convert>>()(context)
  expectValue<Delivered<{ page: number }>>()(context.delivered)
  return { pages: context.delivered.count }
}
class Primary { handle = primary }
class Second { handle = fallback }
mediator.addHandler(Convert, withFallback(primary, fallback))
mediator.addHandler(Convert, withFallback(Primary, Second))
mediator.addHandler(Convert, withFallback(primary, withFallback(fallback, fallback)))
mediator.addHandler(Convert, withFallback(withFallback(primary, fallback), fallback))
mediator.addHandler(Convert, [withFallback(primary, fallback)])
const onBooked: EventHandler<typeof Booked> = () => {}
mediator.addEventHandler(Booked, withFallback(onBooked, onBooked))
const declared = withFallback(primary, fallback)
const again: Handler<typeof Convert> = declared
void again

// @ts-expect-error A result of another type.
mediator.addHandler(Convert, withFallback(primary, async function * () { return { pages: 'many' } }))
// @ts-expect-error Progress of another type.
mediator.addHandler(Convert, withFallback(primary, async function * () { yield 5; return { pages: 1 } }))
// @ts-expect-error A fallback for another input.
withFallback(primary, async function * (input: { url: string }) { return { pages: input.url.length } })
// @ts-expect-error Nothing but progress was delivered.
withFallback(primary, async function * (_input, { delivered }) { return { pages: delivered.last?.pages } })
// @ts-expect-error An event has delivered nothing.
mediator.addEventHandler(Booked, withFallback(onBooked, (_event, { delivered }) => delivered))
// @ts-expect-error An unknown option.
withFallback(primary, fallback, { retries: 1 })

// The policies of cockatiel are breakers.
const breaker: Breaker = circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(5) })
const sampling = circuitBreaker(handleType(TypeError), { halfOpenAfter: 1_000, breaker: new SamplingBreaker({ threshold: 0.5, duration: 1_000 }) })
withFallback(primary, fallback, { breaker, on: error => error instanceof TypeError })
withFallback(primary, fallback, { breaker: sampling })
withFallback(primary, fallback, { breaker: wrap(sampling) })
// @ts-expect-error No breaker.
withFallback(primary, fallback, { breaker: {} })
