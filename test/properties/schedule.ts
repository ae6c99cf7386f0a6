import fc from 'fast-check'
import type { EventDelivery } from '../../index.js'

/** What a handler does, one thing after the other. Turns are those of the event loop; none is a microtask. */
export type Step =
  | { readonly do: 'wait', readonly turns: number }
  | { readonly do: 'yield', readonly progress: boolean }
  /** Until the handler's signal aborts or the schedule lets everybody go on. */
  | { readonly do: 'block', readonly throws: boolean }
  | { readonly do: 'throw' }
  /** Late: some turns later, while the handler goes on or has ended. */
  | { readonly do: 'emit', readonly event: EventPlan, readonly late: number | undefined }
  | { readonly do: 'call', readonly call: CallPlan, readonly how: 'awaited' | 'caught' | 'left' | 'late' | 'outside', readonly turns: number }

/** Each is an event with handlers of its own; `shared` has two, `unheard` none. */
export const eventKinds = ['heard', 'logged', 'judged', 'shared', 'timed', 'unheard'] as const
export type EventKind = typeof eventKinds[number]

export interface EventPlan {
  readonly to: EventKind
  /** What the event's handler does; one that is sync does not wait. */
  readonly steps: readonly Step[]
  readonly sync: boolean
  /** Whether `onError` of `judged` deals with a failure. */
  readonly forgiven: boolean
}

export interface CommandPlan extends EventDelivery {
  readonly kind: 'async generator' | 'generator' | 'regular'
  readonly steps: readonly Step[]
  readonly finally: readonly Step[]
}

export interface ReaderPlan {
  readonly mode: 'loop' | 'result' | 'send'
  /** Turns between two reads. */
  readonly pause: number
  readonly leaveAfter: number | undefined
  readonly end: { readonly by: 'abort' | 'signal', readonly after: number } | undefined
}

export type CallPlan =
  | { readonly what: 'publish', readonly event: EventPlan }
  | { readonly what: 'command', readonly command: CommandPlan, readonly reader: ReaderPlan }

/** What several callers do with one mediator, all at once. */
export interface Schedule {
  readonly mediator: MediatorPlan
  readonly calls: ReadonlyArray<{ readonly after: number, readonly call: CallPlan }>
  readonly close: { readonly after: number, readonly graceMs: number } | undefined
  /** After how many turns those that block go on. */
  readonly patience: number
}

/** A mediator takes tens of milliseconds to make, so there are few kinds, and schedules that do not close share them. */
export interface MediatorPlan {
  readonly limit: number
  readonly eventOrder: EventDelivery['eventOrder']
  readonly bounds: 'few pending events' | 'shallow events'
}

const turns = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max })
const maybe = <T> (arbitrary: fc.Arbitrary<T>, freq: number): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined, freq })
const record = <T> (model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> => fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>

const delivery = {
  eventDelivery: fc.constantFrom('overlap' as const, 'before-progress' as const),
  eventOrder: fc.constantFrom('parallel' as const, 'sequential' as const)
}

const depthIdentifier = fc.createDepthIdentifier()

const { call } = fc.letrec<{ step: Step, steps: Step[], event: EventPlan, command: CommandPlan, call: CallPlan }>(tie => ({
  step: fc.oneof(
    { maxDepth: 4, depthSize: 'medium', depthIdentifier },
    { weight: 4, arbitrary: record<Step>({ do: fc.constant('wait'), turns: turns(3) }) },
    { weight: 5, arbitrary: record<Step>({ do: fc.constant('yield'), progress: fc.boolean() }) },
    { weight: 2, arbitrary: record<Step>({ do: fc.constant('block'), throws: fc.boolean() }) },
    { weight: 2, arbitrary: record<Step>({ do: fc.constant('throw') }) },
    { weight: 9, arbitrary: record<Step>({ do: fc.constant('emit'), event: tie('event'), late: maybe(turns(4), 12) }) },
    {
      weight: 4,
      arbitrary: record<Step>({
        do: fc.constant('call'),
        call: tie('call'),
        how: fc.constantFrom('awaited', 'awaited', 'caught', 'left', 'late', 'outside'),
        // Of less than a turn nobody knows whether its handler still held its permit.
        turns: fc.integer({ min: 1, max: 5 })
      })
    }
  ),
  steps: fc.array(tie('step'), { maxLength: 6, size: 'max', depthIdentifier }),
  event: record<EventPlan>({
    to: fc.constantFrom('heard', ...eventKinds),
    steps: tie('steps'),
    sync: fc.boolean(),
    forgiven: fc.boolean()
  }),
  command: record<CommandPlan>({
    kind: fc.constantFrom('async generator', 'async generator', 'async generator', 'generator', 'regular'),
    ...delivery,
    steps: tie('steps'),
    finally: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: tie('steps') })
  }),
  call: fc.oneof(
    { weight: 1, arbitrary: record<CallPlan>({ what: fc.constant('publish'), event: tie('event') }) },
    {
      weight: 2,
      arbitrary: record<CallPlan>({
        what: fc.constant('command'),
        command: tie('command'),
        reader: record<ReaderPlan>({
          mode: fc.constantFrom('loop', 'loop', 'result', 'send'),
          pause: turns(2),
          leaveAfter: maybe(turns(3), 5),
          end: maybe(record({ by: fc.constantFrom('abort' as const, 'signal' as const), after: turns(8) }), 4)
        })
      })
    }
  )
}))

const schedule = (close: fc.Arbitrary<Schedule['close']>): fc.Arbitrary<Schedule> => record<Schedule>({
  mediator: record<MediatorPlan>({
    limit: fc.integer({ min: 1, max: 5 }),
    eventOrder: delivery.eventOrder,
    bounds: fc.constantFrom('few pending events', 'shallow events')
  }),
  calls: fc.array(record({ after: turns(4), call }), { minLength: 1, maxLength: 4, size: 'max' }),
  close,
  patience: turns(20)
})

export const openSchedule = schedule(fc.constant(undefined))
export const closingSchedule = schedule(record({ after: turns(6), graceMs: fc.constantFrom(0, 60_000) }))
