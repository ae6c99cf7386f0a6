import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import fc from 'fast-check'
import { pino } from 'pino'
import t from 'tap'
import { StreamingMediator, defineCommand, defineEvent } from '../../index.js'
import type { HandlerContext, MediatorCalls, StreamEnd } from '../../index.js'
import { nothing } from '../support/stream-ends.js'
import { checkBy } from './check.js'

type Step = 'yield' | 'turn' | 'block' | 'throw' | 'emit' | 'emit-failing' | { readonly call: StreamPlan }

interface StreamPlan {
  readonly owner: string | undefined
  readonly command: 'plain' | 'hurried' | 'sync'
  readonly steps: readonly Step[]
  readonly startAfter: number
  /** How many values the reader takes before it leaves. */
  readonly leaveAfter: number
  /** Turns after the start of the plan; none for never. */
  readonly abortAfter: number | undefined
}

interface LimitSchedule {
  readonly maxStreams: number
  readonly maxStreamsPerOwner: number
  readonly maxConcurrentEventHandlers: number
  readonly behaviors: boolean
  readonly streams: readonly StreamPlan[]
  readonly closeAfter: number | undefined
}

const { plan: streamPlan } = fc.letrec<{ plan: StreamPlan, step: Step }>(tie => ({
  plan: fc.record({
    owner: fc.constantFrom('ada', 'grace', undefined),
    command: fc.constantFrom('plain', 'hurried', 'sync'),
    steps: fc.array(tie('step'), { maxLength: 5, depthIdentifier: 'calls' }),
    startAfter: fc.nat(4),
    leaveAfter: fc.oneof(fc.nat(3), fc.constant(Infinity)),
    abortAfter: fc.option(fc.nat(6), { nil: undefined })
  }),
  step: fc.oneof({ maxDepth: 3, depthIdentifier: 'calls' },
    { weight: 4, arbitrary: fc.constantFrom<Step>('yield', 'turn', 'emit') },
    { weight: 1, arbitrary: fc.constantFrom<Step>('block', 'throw', 'emit-failing') },
    { weight: 2, arbitrary: fc.record({ call: tie('plan') }) })
}))

const schedule: fc.Arbitrary<LimitSchedule> = fc.record({
  maxStreams: fc.integer({ min: 1, max: 4 }),
  maxStreamsPerOwner: fc.integer({ min: 1, max: 2 }),
  maxConcurrentEventHandlers: fc.integer({ min: 1, max: 3 }),
  behaviors: fc.boolean(),
  streams: fc.array(streamPlan, { minLength: 1, maxLength: 8 }),
  closeAfter: fc.option(fc.nat(12), { nil: undefined })
})

// Their input is the plan itself.
const progress = Type.Object({})
const input = Type.Unsafe<{ readonly plan: StreamPlan, begun: boolean }>(Type.Object({}))
const commands = {
  plain: defineCommand({ name: 'limits.plain', input, progress }),
  hurried: defineCommand({ name: 'limits.hurried', input, progress }),
  sync: defineCommand({ name: 'limits.sync', input, progress })
}
const Happened = defineEvent({ name: 'limits.happened', payload: Type.Object({ fails: Type.Boolean() }) })

class LimitWorld {
  readonly #schedule: LimitSchedule
  readonly #mediator: StreamingMediator
  readonly #broken: string[] = []
  readonly #open = new Map<string, string | undefined>()
  readonly #begun = new Set<string>()
  readonly #ends: StreamEnd[] = []
  readonly #work: Array<Promise<void>> = []

  constructor (schedule: LimitSchedule) {
    this.#schedule = schedule
    const { maxStreams, maxStreamsPerOwner, maxConcurrentEventHandlers, behaviors } = schedule
    this.#mediator = new StreamingMediator({
      maxStreams, maxStreamsPerOwner, maxConcurrentEventHandlers, closeGraceMs: 0, logger: pino({ level: 'silent' })
    })
    if (behaviors) this.#mediator.addBehavior(async function * (_call, next) { return yield * next() })
    const handler = async function * (this: LimitWorld, { plan }: { plan: StreamPlan }, context: HandlerContext): AsyncGenerator<object, void, void> {
      for (const step of plan.steps) {
        if (step === 'yield') yield {}
        else await this.#perform(step, context)
      }
    }.bind(this)
    const begin = (given: { readonly plan: StreamPlan, begun: boolean }, context: HandlerContext): AsyncGenerator<object, void, void> => {
      given.begun = true
      this.#begin(given.plan, context.streamId)
      if (given.plan.command === 'sync' && given.plan.steps[0] === 'throw') throw new Error('at once')
      return handler(given, context)
    }
    this.#mediator.addHandler(commands.plain, begin)
    this.#mediator.addHandler(commands.hurried, begin, { maxStreamMs: 1 })
    this.#mediator.addHandler(commands.sync, begin, { eventOrder: 'sequential' })
    this.#mediator.addEventHandler(Happened, async ({ payload: { fails } }) => {
      await turn()
      if (fails) throw new Error('event')
    })
    this.#mediator.onStreamEnd(end => {
      this.#ends.push(end)
      if (!this.#open.delete(end.streamId)) this.#broken.push('a stream ended twice, or without a start')
    })
  }

  async run (): Promise<void> {
    const { streams, closeAfter } = this.#schedule
    for (const plan of streams) this.#work.push(this.#stream(plan, this.#mediator))
    if (closeAfter !== undefined) this.#work.push(turns(closeAfter).then(async () => await this.#mediator.close()))
    // What blocks, and no deadline or abort has ended, ends with the mediator.
    await turns(15)
    const closing = this.#mediator.close()
    for (let each = 0; each < this.#work.length; each++) await this.#work[each]
    await closing
    await turns(2)
    const stats = this.#mediator.stats()
    if (JSON.stringify(stats) !== JSON.stringify(nothing)) this.#broken.push(`at the end there is ${JSON.stringify(stats)}`)
    if (this.#open.size > 0) this.#broken.push(`${this.#open.size} streams did not end`)
    if (this.#ends.length !== this.#begun.size) this.#broken.push(`${this.#begun.size} streams began, and ${this.#ends.length} ended`)
    if (this.#broken.length > 0) throw new Error([...new Set(this.#broken)].join('\n'))
  }

  #ofOwner (owner: string | undefined): number {
    return owner === undefined ? 0 : Array.from(this.#open.values()).filter(each => each === owner).length
  }

  #begin ({ owner }: StreamPlan, streamId: string): void {
    if (this.#begun.has(streamId)) this.#broken.push('a stream began twice')
    this.#begun.add(streamId)
    this.#open.set(streamId, owner)
    const { maxStreams, maxStreamsPerOwner } = this.#schedule
    if (this.#open.size > maxStreams) this.#broken.push(`${this.#open.size} streams are open, where ${maxStreams} may be`)
    if (this.#ofOwner(owner) > maxStreamsPerOwner) this.#broken.push(`${this.#ofOwner(owner)} streams of one owner are open, where ${maxStreamsPerOwner} may be`)
    const { streams, owners } = this.#mediator.stats()
    if (streams !== this.#open.size || owners !== new Set([...this.#open.values()].filter(each => each !== undefined)).size) {
      this.#broken.push(`stats() counts ${streams} streams of ${owners} owners, where there are ${JSON.stringify([...this.#open.values()])}`)
    }
  }

  async #stream (plan: StreamPlan, calls: MediatorCalls): Promise<void> {
    await turns(plan.startAfter)
    const controller = new AbortController()
    const given = { plan, begun: false }
    const stream = calls.stream(commands[plan.command], given, { signal: controller.signal, owner: plan.owner })
    if (plan.abortAfter !== undefined) this.#work.push(turns(plan.abortAfter).then(() => controller.abort()))
    if (plan.leaveAfter === 0) return
    const { maxStreams, maxStreamsPerOwner } = this.#schedule
    const isFull = this.#open.size >= maxStreams
    const isOwnersFull = this.#ofOwner(plan.owner) >= maxStreamsPerOwner
    const iterator = stream[Symbol.asyncIterator]()
    let step = iterator.next()
    if (given.begun && (isFull || isOwnersFull)) this.#broken.push('a stream began although there was no room')
    let failure: { readonly code?: string } | undefined
    try {
      for (let read = 0; (await step).done !== true; step = iterator.next()) {
        if (++read < plan.leaveAfter) continue
        await iterator.return!()
        break
      }
    } catch (error) {
      failure = error as { code?: string }
    }
    if (given.begun) return
    const expected = isFull ? 'MEDIATOR_ERR_TOO_MANY_STREAMS' : isOwnersFull ? 'MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER' : undefined
    const other = failure?.code === 'MEDIATOR_ERR_SHUTTING_DOWN' || failure?.code === 'MEDIATOR_ERR_STREAM_ABORTED'
    if (failure?.code !== expected && !other) this.#broken.push(`a stream did not begin: ${String(failure)}, where ${String(expected)} is expected`)
  }

  async #perform (step: Exclude<Step, 'yield'>, { emit, mediator, signal }: HandlerContext): Promise<void> {
    if (step === 'throw') throw new Error('thrown')
    if (step === 'emit' || step === 'emit-failing') emit(Happened, { fails: step === 'emit-failing' })
    else if (step === 'turn') await turn()
    else if (step !== 'block') await this.#stream(step.call, mediator)
    else if (!signal.aborted) await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
  }
}

async function turns (count: number): Promise<void> {
  for (let each = 0; each < count; each++) await turn()
}

t.test('whatever callers, owners, deadlines and handlers do, no limit is passed and nothing stays counted', async t => {
  await checkBy(async (schedule: LimitSchedule) => await new LimitWorld(schedule).run(), t, 'limit-schedules.test.ts', schedule, 2_000)
})
