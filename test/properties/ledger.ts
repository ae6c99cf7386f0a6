import { Permits, allStarted, emissionOf, isQuiet, laneOwner, remove } from './records.js'
import type { Coded, Emission, Emitter, Group, Main, Run } from './records.js'
import { handlerCount } from './subject.js'
import type { EventPlan } from './schedule.js'
import type { Subject } from './subject.js'

/** What was emitted, what ran and what failed; tells what of it should not have been. */
export class Ledger {
  readonly broken: string[] = []
  readonly permits: Permits
  readonly runs: Run[] = []
  readonly emissions: Emission[] = []
  /** The failures that the mediator has to log. */
  readonly logged: unknown[] = []
  clock = 0
  closing = false
  readonly #subject: Subject
  readonly #hasGrace: boolean

  constructor (subject: Subject, hasGrace: boolean) {
    this.#subject = subject
    this.#hasGrace = hasGrace
    this.permits = new Permits(subject.limit)
  }

  /** Whether events may be dropped by now. */
  get isDropping (): boolean {
    return this.closing && !this.#hasGrace
  }

  /** The run has got a permit: was it its turn? */
  start (emission: Emission, index: number): Run {
    const { group } = emission
    if (emission.runs[index] !== undefined) this.broken.push('an event was handled twice by one handler')
    if (group.settled) this.broken.push('an event handler started after its stream or publish had settled')
    this.checkTurn(emission, index)
    const run: Run = {
      emission, group, depth: emission.emitter.depth + 1, emitted: [], ended: false, permits: new Permits(1), called: [], calls: 0, released: false, active: 0
    }
    emission.runs[index] = run
    this.runs.push(run)
    for (let each: Run | undefined = run; each !== undefined; each = laneOwner(each)) {
      if (each.active++ > 0) continue
      const { permits } = each.emission.group
      if (++permits.used > permits.limit) this.broken.push(`${permits.used} event handlers run on ${permits.limit} permits`)
    }
    this.countBusy()
    return run
  }

  checkTurn (emission: Emission, index: number): void {
    const { group, emitter } = emission
    for (let each = 0; each < index; each++) if (emission.runs[each] === undefined) this.broken.push('a later handler of an event started first')
    const { waiting, limit } = group.permits
    for (const other of waiting) {
      if (other === emission || allStarted(other)) continue
      const together = other.group === group
      // A sequential group hands over one event at a time, and so has an order of its own only.
      if (!together && (group.sequential || other.group.sequential)) continue
      // One with a timeout takes some microtasks from its permit to its start.
      if (!group.sequential && limit > 1 && (emission.plan.to === 'timed' || other.plan.to === 'timed')) continue
      const before = other.emitter === emitter ? emitter.emitted.indexOf(other) < emitter.emitted.indexOf(emission) : other.queuedAt < emission.emittedAt
      if (before) this.broken.push(`an event was not handled in the order of the emits (${group.sequential ? 'sequential' : `limit ${limit}`})`)
    }
    if (!group.sequential) return
    for (const other of group.emissions) {
      if (other.runs.some(run => run !== undefined && !isQuiet(run))) this.broken.push('two handlers of a sequential stream run at once')
    }
  }

  end (run: Run): void {
    run.ended = true
    for (let each: Run | undefined = run; each !== undefined; each = laneOwner(each)) {
      if (--each.active === 0) each.emission.group.permits.used--
    }
    this.queueSoon(run)
  }

  countBusy (): void {
    let busy = 0
    for (const { ended, calls } of this.runs) if (!ended && calls === 0) busy++
    if (busy > this.#subject.limit) this.broken.push(`${busy} event handlers are at work at a limit of ${this.#subject.limit}`)
  }

  isTooDeep ({ depth }: Emitter): boolean {
    return depth >= this.#subject.maxEventDepth
  }

  emission (plan: EventPlan, emitter: Emitter): Emission {
    const runs = Array.from({ length: handlerCount(plan.to) }, () => undefined)
    return { group: emitter.group, emitter, plan, runs, emittedAt: ++this.clock, queuedAt: Infinity }
  }

  keep (emission: Emission): void {
    const { group, emitter } = emission
    emitter.emitted.push(emission)
    group.emissions.push(emission)
    group.permits.waiting.push(emission)
    this.emissions.push(emission)
  }

  /** Its step is over: what it emitted is queued within microtasks. */
  queueSoon ({ emitted }: Emitter): void {
    const count = emitted.length
    if (count === 0 || emitted[count - 1]!.queuedAt < Infinity) return
    setImmediate(() => {
      this.clock++
      for (let i = count - 1; i >= 0 && emitted[i]!.queuedAt === Infinity; i--) emitted[i]!.queuedAt = this.clock
    })
  }

  /** A generator is resumed only while few of its events are pending. */
  resumed (main: Main): void {
    // All that it emitted before the yield is queued.
    this.clock++
    for (const emission of main.emitted) if (emission.emittedAt <= main.steppedAt) emission.queuedAt = Math.min(emission.queuedAt, this.clock)
    let pending = 0
    for (const { queuedAt, runs } of main.group.emissions) {
      if (queuedAt < Infinity) for (const run of runs) if (run?.ended !== true) pending++
    }
    if (pending >= this.#subject.maxPendingEvents && !this.closing) {
      this.broken.push(`a generator was resumed while ${pending} runs were pending, where ${this.#subject.maxPendingEvents} is the bound`)
    }
  }

  /** A publish that was refused emitted nothing. */
  forget (emission: Emission): void {
    if (emission.runs.some(run => run !== undefined)) this.broken.push('an event whose publish was refused was handled')
    for (const list of [this.emissions, emission.group.emissions, emission.group.permits.waiting]) remove(list, emission)
  }

  checkProgress (main: Main, index: number): void {
    const expected = main.progress.shift()
    if (expected?.index !== index) this.broken.push(`progress ${index} came where ${String(expected?.index)} was yielded`)
    if (main.plan.eventDelivery !== 'before-progress') return
    const covers = (emission: Emission): boolean => {
      for (let each: Emission | undefined = emission; each !== undefined; each = emissionOf(each.emitter)) {
        if (each.emitter === main) return each.emittedAt <= (expected?.at ?? 0)
      }
      return false
    }
    if (!main.group.emissions.filter(covers).every(emission => this.isHandled(emission))) {
      this.broken.push('before-progress: progress came before all that was emitted before it had been handled')
    }
  }

  /** Whoever holds the end of a stream or publish knows that all of its events were handled. */
  checkGroup (group: Group, what: string): void {
    if (!group.emissions.every(emission => this.isHandled(emission))) this.broken.push(`a ${what} settled before all of its events`)
  }

  checkNoFailure ({ failures, emissions }: Group, what: string): void {
    if (failures.length > 0) this.broken.push(`${what} although event handlers had failed`)
    if (emissions.some(emission => !allStarted(emission))) this.broken.push(`${what} although events had been dropped`)
  }

  checkFailure ({ failures, emissions }: Group, error: unknown, what: string): void {
    const { code, cause } = error as Coded
    if (code !== 'MEDIATOR_ERR_EVENT_HANDLER_FAILED') {
      this.broken.push(`${what} failed with ${String(error)}, which nobody threw`)
      return
    }
    const causes = cause instanceof AggregateError && !failures.includes(cause) ? cause.errors : [cause]
    const dropped = emissions.reduce((count, { runs }) => count + runs.filter(run => run === undefined).length, 0)
    const others = [...causes]
    const missing = failures.filter(failure => !remove(others, failure))
    if (missing.length > 0 || others.length !== dropped || others.some(each => (each as Coded).code !== 'MEDIATOR_ERR_SHUTTING_DOWN')) {
      this.broken.push(`${what} failed with ${causes.length} causes, where ${failures.length} handlers failed and ${dropped} were dropped`)
    }
  }

  isHandled ({ runs }: Emission): boolean {
    return runs.every(run => run === undefined ? this.isDropping : isQuiet(run))
  }

  checkEveryEvent (): void {
    let missing = 0
    for (const { runs } of this.emissions) for (const run of runs) if (run === undefined) missing++
    const reports = this.#subject.logs.filter(({ message }) => /did not finish before the mediator closed/.test(message))
    const dropped = reports.reduce((count, { fields }) => count + fields.dropped!, 0)
    if (missing !== dropped) this.broken.push(`${missing} runs of event handlers did not happen, ${dropped} were reported as dropped`)
    if (dropped > 0 && !this.isDropping) this.broken.push('events were dropped although there was grace')
    if (reports.some(({ fields }) => fields.running !== 0)) this.broken.push('close let go of handlers, where each ends at its signal')
  }

  /** Each failure that a policy did not deal with is logged once, and nothing else is worth a warning. */
  checkLog (): void {
    const { logs } = this.#subject
    const logged = logs.filter(({ message }) => message === 'event handler failed').map(({ fields }) => fields.err)
    const others = [...logged]
    if (logged.length !== this.logged.length || !this.logged.every(error => remove(others, error))) {
      this.broken.push(`${this.logged.length} event handlers failed, ${logged.length} were logged`)
    }
    for (const { message } of logs) {
      if (!/^(?:event handler failed|handler failed after its stream had ended|event handlers did not finish.*)$/.test(message)) {
        this.broken.push(`logged: ${message}`)
      }
    }
  }
}
