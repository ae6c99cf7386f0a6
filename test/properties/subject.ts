import { Type } from '@sinclair/typebox'
import { StreamingMediator, defineCommand, defineEvent } from '../../index.js'
import type { EventContext, EventHandlerOptions, HandlerContext, Logger } from '../../index.js'
import type { Emission, Main } from './records.js'
import type { CommandPlan, EventKind, MediatorPlan } from './schedule.js'
import type { World } from './world.js'

const defineHeard = (name: string) => defineEvent({ name, payload: Type.Unsafe<Emission>({}) })
const defineWork = (name: string) => defineCommand({
  name,
  input: Type.Unsafe<Main>({}),
  progress: Type.Object({ index: Type.Integer() }),
  result: Type.Integer()
})
const defineTask = (name: string) => defineCommand({ name, input: Type.Unsafe<Main>({}), result: Type.Integer() })

export type Heard = ReturnType<typeof defineHeard>
export type Work = ReturnType<typeof defineWork>
export type Task = ReturnType<typeof defineTask>

const events = new Map<string, Heard>()
const works = new Map<string, Work>()
const tasks = new Map<string, Task>()

function once<T> (made: Map<string, T>, name: string, make: (name: string) => T): T {
  const found = made.get(name) ?? make(name)
  made.set(name, found)
  return found
}

const Probed = defineEvent({ name: 'probed', payload: Type.Unsafe<() => Promise<void>>({}) })

export interface LogLine {
  readonly fields: { readonly err?: unknown, readonly running?: number, readonly dropped?: number }
  readonly message: string
}

/** A mediator whose handlers do what the plan in their payload or input says. Each is added when it is first needed. */
export class Subject {
  readonly mediator: StreamingMediator
  readonly limit: number
  readonly maxPendingEvents: number
  readonly maxEventDepth: number
  readonly sequential: boolean
  /** What the mediator logged at warn and error since the last schedule began. */
  logs: LogLine[] = []
  readonly #known = new Set<string>()

  constructor ({ limit, eventOrder, bounds }: MediatorPlan, closeGraceMs: number) {
    this.limit = limit
    this.sequential = eventOrder === 'sequential'
    this.maxPendingEvents = bounds === 'few pending events' ? 1 + limit % 3 : 10
    this.maxEventDepth = bounds === 'shallow events' ? 3 : 16
    const { maxPendingEvents, maxEventDepth } = this
    this.mediator = new StreamingMediator({
      maxConcurrentEventHandlers: limit, maxPendingEvents, maxEventDepth, eventOrder, closeGraceMs, logger: this.#logger()
    })
  }

  event (kind: EventKind): Heard {
    const definition = once(events, kind, defineHeard)
    if (this.#isNew(definition.name)) this.#addEventHandlers(definition, kind)
    return definition
  }

  work ({ eventDelivery, eventOrder }: CommandPlan): Work {
    const definition = once(works, `work.${eventDelivery}.${eventOrder}`, defineWork)
    if (this.#isNew(definition.name)) {
      this.mediator.addHandler(definition, (main, context) => main.stream(context), { eventDelivery, eventOrder })
    }
    return definition
  }

  task ({ eventOrder }: CommandPlan): Task {
    const definition = once(tasks, `task.${eventOrder}`, defineTask)
    if (this.#isNew(definition.name)) {
      this.mediator.addHandler(definition, async (main: Main, context: HandlerContext) => await main.answer(context), { eventOrder })
    }
    return definition
  }

  /** Publishes an event whose handler does what is given. */
  async probe (work: () => Promise<void>): Promise<void> {
    if (this.#isNew(Probed.name)) this.mediator.addEventHandler(Probed, async ({ payload }) => { await payload() })
    await this.mediator.publish(Probed, work)
  }

  #isNew (name: string): boolean {
    if (this.#known.has(name)) return false
    this.#known.add(name)
    return true
  }

  #addEventHandlers (definition: Heard, kind: EventKind): void {
    for (let index = 0; index < handlerCount(kind); index++) {
      this.mediator.addEventHandler(definition,
        ({ payload }, context) => worldOf(payload).handle(payload, index, context),
        policies[kind] ?? {})
    }
  }

  #logger (): Logger {
    const keep = (fields: object, message: string): void => { this.logs.push({ fields, message }) }
    const logger = { debug () {}, info () {}, warn: keep, error: keep, child: () => logger }
    return logger as unknown as Logger
  }
}

export function handlerCount (kind: EventKind): number {
  return kind === 'unheard' ? 0 : kind === 'shared' ? 2 : 1
}

const policies: { readonly [K in EventKind]?: EventHandlerOptions<Heard> } = {
  logged: { onError: 'log' },
  judged: { onError: (error, { payload }, context: EventContext) => worldOf(payload).judge(payload, error, context) },
  timed: { timeoutMs: 60_000 }
}

function worldOf (emission: Emission): World {
  return emission.group.world
}
