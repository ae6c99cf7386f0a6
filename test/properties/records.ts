import type { Emit, HandlerContext, MediatorCalls } from '../../index.js'
import type { CommandPlan, EventPlan } from './schedule.js'
import type { World } from './world.js'

/** Permits as the guide describes them: the mediator's own, or the one that an event handler lends to its calls. */
export class Permits {
  /** What waits for one of them or has got one, in the order of the emits. */
  readonly waiting: Emission[] = []
  used = 0

  constructor (readonly limit: number) {}
}

/** What emits: a command's handler, one run of an event handler, or a publish, which emits one event. */
export interface Emitter {
  readonly group: Group
  /** That of its events is one more. */
  readonly depth: number
  readonly emitted: Emission[]
  ended: boolean
}

/** The events of one stream or publish, with what became of it. */
export interface Group {
  readonly world: World
  /** The run of an event handler whose call this is. */
  readonly owner: Run | undefined
  readonly permits: Permits
  readonly depth: number
  readonly sequential: boolean
  readonly emissions: Emission[]
  /** What its event handlers failed with, as far as their policies did not deal with it. */
  readonly failures: unknown[]
  main: Main | undefined
  settled: boolean
}

/** One emitted event. The payload of the event is this record. */
export interface Emission {
  readonly group: Group
  readonly emitter: Emitter
  readonly plan: EventPlan
  readonly runs: Array<Run | undefined>
  readonly emittedAt: number
  /** From then on it was surely queued. */
  queuedAt: number
}

/** One event handler at work on one event. */
export interface Run extends Emitter {
  readonly emission: Emission
  readonly permits: Permits
  /** The groups of its calls, made while it held its permit. */
  readonly called: Group[]
  /** Calls that have not settled. */
  calls: number
  /** Whether it has given its permit back, for good. */
  released: boolean
  /** Handlers at work on its permit, itself included. */
  active: number
}

/** An error of the package. */
export type Coded = Error & { readonly code?: string, readonly reason?: string }

/** What the steps of a plan act with. */
export interface Actor {
  readonly emitter: Emitter
  /** To whom its calls belong. */
  readonly owner: Run | undefined
  readonly emit: Emit
  readonly signal: AbortSignal
  readonly mediator: MediatorCalls
}

let mains = 0

/** The handler of a command at work. */
export class Main implements Emitter {
  readonly index = ++mains
  readonly emitted: Emission[] = []
  readonly depth: number
  /** What was yielded and not read, and when. */
  readonly progress: Array<{ readonly index: number, readonly at: number }> = []
  /** When it yielded last. */
  steppedAt = 0
  begun = false
  ended = false
  returned = false
  thrown: { readonly error: unknown } | undefined
  aborted: boolean | 'maybe' = false
  #yielded = 0

  constructor (readonly world: World, readonly group: Group, readonly plan: CommandPlan) {
    this.depth = group.depth
  }

  stream (context: HandlerContext): AsyncGenerator<{ index: number } | undefined, number, void> | Generator<{ index: number } | undefined, number, void> {
    return this.plan.kind === 'generator' ? this.world.streamSync(this, context) : this.world.stream(this, context)
  }

  async answer (context: HandlerContext): Promise<number> {
    return await this.world.answer(this, context)
  }

  begin ({ emit, signal, mediator }: HandlerContext): Actor {
    this.begun = true
    return { emitter: this, owner: this.group.owner, emit, signal, mediator }
  }

  beforeYield ({ progress }: { readonly progress: boolean }): { index: number } | undefined {
    if (!progress) return undefined
    const index = ++this.#yielded
    this.progress.push({ index, at: this.emitted.at(-1)?.emittedAt ?? 0 })
    return { index }
  }
}

/** Whether a run has ended with all that runs on its permit. */
export function isQuiet (run: Run): boolean {
  return run.ended && run.active === 0 && run.called.every(({ main, emissions }) =>
    (main === undefined || !main.begun || main.ended) && emissions.every(({ runs }) => runs.every(each => each === undefined || isQuiet(each))))
}

/** Whether each of its handlers has begun. */
export function allStarted ({ runs }: Emission): boolean {
  return runs.every(run => run !== undefined)
}

/** The run on whose lent permit a run is. */
export function laneOwner ({ emission: { group } }: Run): Run | undefined {
  return group.owner?.permits === group.permits ? group.owner : undefined
}

/** The event that an emitter handles. */
export function emissionOf (emitter: Emitter): Emission | undefined {
  return 'emission' in emitter ? (emitter as Run).emission : undefined
}

/** Takes an item out of a list, once. */
export function remove<T> (list: T[], item: T): boolean {
  const index = list.indexOf(item)
  if (index === -1) return false
  list.splice(index, 1)
  return true
}
