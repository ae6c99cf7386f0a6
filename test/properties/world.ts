import { setImmediate as turn } from 'node:timers/promises'
import type { Emit, EventContext, HandlerContext, MediatorCalls, MediatorStream } from '../../index.js'
import { Ledger } from './ledger.js'
import { Main } from './records.js'
import type { Actor, Coded, Emission, Emitter, Group, Run } from './records.js'
import type { CallPlan, CommandPlan, EventPlan, ReaderPlan, Schedule, Step } from './schedule.js'
import type { Subject, Task, Work } from './subject.js'

type Outcome = { readonly value: unknown } | { readonly error: unknown }

const leaf: EventPlan = { to: 'logged', steps: [], sync: true, forgiven: false }

/** Runs one schedule and notes everything that should not be. */
export class World {
  readonly #subject: Subject
  readonly #schedule: Schedule
  readonly #ledger: Ledger
  #errors = 0
  // Calls, readers and late steps that have not come to their end.
  #open = 0
  #gateOpen = false
  #atGate: Array<() => void> = []

  constructor (subject: Subject, schedule: Schedule) {
    this.#subject = subject
    this.#schedule = schedule
    this.#ledger = new Ledger(subject, schedule.close?.graceMs !== 0)
  }

  /** What should not have been. */
  get broken (): readonly string[] {
    return this.#ledger.broken
  }

  /** Resolves when all has settled, or was found not to. */
  async run (): Promise<void> {
    const { calls, close, patience } = this.#schedule
    const { mediator } = this.#subject
    const timers = activeTimers()
    const rejections: unknown[] = []
    const onRejection = (error: unknown): void => { rejections.push(error) }
    process.on('unhandledRejection', onRejection)
    this.#subject.logs = []
    let closed = close === undefined
    for (const { after, call } of calls) this.#later(after, async () => { await this.#call(call, mediator, undefined) })
    if (close !== undefined) {
      this.#later(close.after, async () => {
        this.#ledger.closing = true
        await mediator.close()
        closed = true
      })
    }
    for (let turns = 0; turns < patience && this.#open > 0; turns++) await turn()
    // With no grace, closing is what ends those that block.
    if (close?.graceMs === 0) await this.#until(() => closed, 'close() resolves')
    this.#gateOpen = true
    for (const goOn of this.#atGate) goOn()
    await this.#until(() => this.#open === 0 && closed, 'every promise settles')
    await turn()
    await turn()
    if (mediator.stats().streams !== 0) this.#ledger.broken.push(`${mediator.stats().streams} streams are open at the end`)
    for (const run of this.#ledger.runs) if (!run.ended) this.#ledger.broken.push('an event handler goes on at the end')
    this.#ledger.checkEveryEvent()
    this.#ledger.checkLog()
    if (close === undefined) await this.#checkPermits()
    else this.#expect(await outcomeOf(this.#subject.probe(async () => {})), 'a publish after close', 'MEDIATOR_ERR_SHUTTING_DOWN')
    const left = activeTimers() - timers
    if (left > 0) this.#ledger.broken.push(`${left} timers keep the process alive`)
    process.off('unhandledRejection', onRejection)
    for (const error of rejections) this.#ledger.broken.push(`unhandled rejection: ${String(error)}`)
  }

  /** An event handler of the mediator. */
  handle (emission: Emission, index: number, context: EventContext): unknown {
    const run = this.#ledger.start(emission, index)
    const actor: Actor = { emitter: run, owner: run, emit: context.emit, signal: context.signal, mediator: context.mediator }
    const { plan } = emission
    const steps = index === 0 ? plan.steps : plan.steps.filter(step => step.do === 'wait')
    if (!plan.sync) return this.#handle(run, steps, actor)
    try {
      for (const step of steps) this.#performSync(step, actor)
    } catch (error) {
      this.#failed(run, error)
      throw error
    }
    this.#ledger.end(run)
  }

  async #handle (run: Run, steps: readonly Step[], actor: Actor): Promise<void> {
    try {
      for (const step of steps) await this.#perform(step, actor)
    } catch (error) {
      this.#failed(run, error)
      throw error
    }
    this.#ledger.end(run)
  }

  /** What the policy of `judged` says about a failure. A failure that it deals with may have follow-ups of its own. */
  async judge (emission: Emission, error: unknown, { emit }: EventContext): Promise<void> {
    const run = emission.runs[0]!
    try {
      await turn()
      if (!emission.plan.forgiven) throw this.#error('judged')
      this.#emit(leaf, run, emit)
    } catch (thrown) {
      this.#ledger.logged.push(thrown)
      emission.group.failures.push(thrown)
      throw thrown
    } finally {
      this.#ledger.end(run)
    }
  }

  #failed (run: Run, error: unknown): void {
    const { to } = run.emission.plan
    if (to === 'judged') return
    this.#ledger.logged.push(error)
    if (to !== 'logged') run.group.failures.push(error)
    this.#ledger.end(run)
  }

  #emit (plan: EventPlan, emitter: Emitter, emit: Emit): void {
    const emission = this.#ledger.emission(plan, emitter)
    try {
      emit(this.#subject.event(plan.to), emission)
    } catch (error) {
      const { code } = error as Coded
      const isExpected = code === 'MEDIATOR_ERR_EMIT_AFTER_END' ? emitter.ended : code === 'MEDIATOR_ERR_EVENT_DEPTH' && this.#ledger.isTooDeep(emitter)
      if (!isExpected) this.#ledger.broken.push(`emit threw ${String(error)}`)
      throw error
    }
    if (this.#ledger.isTooDeep(emitter)) this.#ledger.broken.push('an event was emitted deeper than maxEventDepth')
    this.#ledger.keep(emission)
  }

  /** The generator of a command. */
  async * stream (main: Main, context: HandlerContext): AsyncGenerator<{ index: number } | undefined, number, void> {
    const actor = main.begin(context)
    const { steps, finally: cleanup } = main.plan
    try {
      try {
        for (const step of steps) {
          if (step.do === 'yield') {
            yield this.#step(main, step)
            this.#ledger.resumed(main)
          } else {
            await this.#perform(step, actor)
          }
        }
      } finally {
        for (const step of cleanup) {
          if (step.do === 'yield') yield this.#step(main, step)
          else await this.#perform(step, actor)
        }
      }
      main.returned = true
    } catch (error) {
      main.thrown = { error }
      throw error
    } finally {
      this.#mainEnded(main)
    }
    return main.index
  }

  /** The same for a generator that never awaits. */
  * streamSync (main: Main, context: HandlerContext): Generator<{ index: number } | undefined, number, void> {
    const actor = main.begin(context)
    const { steps, finally: cleanup } = main.plan
    try {
      try {
        for (const step of steps) {
          if (step.do === 'yield') {
            yield this.#step(main, step)
            this.#ledger.resumed(main)
          } else {
            this.#performSync(step, actor)
          }
        }
      } finally {
        for (const step of cleanup) {
          if (step.do === 'yield') yield this.#step(main, step)
          else this.#performSync(step, actor)
        }
      }
      main.returned = true
    } catch (error) {
      main.thrown = { error }
      throw error
    } finally {
      this.#mainEnded(main)
    }
    return main.index
  }

  /** A regular handler. */
  async answer (main: Main, context: HandlerContext): Promise<number> {
    const actor = main.begin(context)
    try {
      for (const step of main.plan.steps) await this.#perform(step, actor)
      main.returned = true
    } catch (error) {
      main.thrown = { error }
      throw error
    } finally {
      this.#mainEnded(main)
    }
    return main.index
  }

  #step (main: Main, step: { readonly progress: boolean }): { index: number } | undefined {
    this.#ledger.queueSoon(main)
    main.steppedAt = this.#ledger.clock
    return main.beforeYield(step)
  }

  #mainEnded (main: Main): void {
    main.ended = true
    this.#ledger.queueSoon(main)
  }

  async #perform (step: Step, actor: Actor): Promise<void> {
    switch (step.do) {
      case 'wait':
      case 'yield':
        if (step.do === 'yield' || step.turns === 0) await Promise.resolve()
        else await turns(step.turns)
        return
      case 'block':
        await this.#block(actor.signal)
        if (step.throws && actor.signal.aborted) throw actor.signal.reason
        return
      case 'call':
        if (step.how === 'awaited') await this.#call(step.call, actor.mediator, actor.owner, actor.emitter)
        else if (step.how === 'caught') await this.#call(step.call, actor.mediator, actor.owner, actor.emitter).catch(() => {})
        else this.#performSync(step, actor)
        return
      default:
        this.#performSync(step, actor)
    }
  }

  #performSync (step: Step, { emitter, owner, emit, mediator }: Actor): void {
    if (step.do === 'throw') throw this.#error('thrown')
    if (step.do === 'emit') {
      const { event, late } = step
      if (late === undefined) this.#emit(event, emitter, emit)
      else this.#later(late, async () => { this.#emit(event, emitter, emit) })
    } else if (step.do === 'call') {
      const call = async (): Promise<void> => {
        // A call through the mediator itself is nobody's; nobody waits for it, because it may need the permit of who would.
        if (step.how === 'outside') await this.#call(step.call, this.#subject.mediator, undefined)
        else await this.#call(step.call, mediator, owner, emitter)
      }
      if (step.how === 'late') this.#later(step.turns, call)
      else call().catch(() => {})
    }
  }

  #later (after: number, work: () => Promise<void>): void {
    this.#open++
    void turns(after).then(work).catch(() => {}).finally(() => { this.#open-- })
  }

  async #block (signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#gateOpen) return
    await new Promise<void>(resolve => {
      signal.addEventListener('abort', () => resolve(), { once: true })
      this.#atGate.push(resolve)
    })
  }

  async #call (plan: CallPlan, calls: MediatorCalls, owner: Run | undefined, caller?: Emitter): Promise<void> {
    // An event handler lends its permit as long as it holds it.
    if (owner?.ended === true && owner.calls === 0) owner.released = true
    const lender = owner?.released === false ? owner : undefined
    const group: Group = {
      world: this,
      owner,
      permits: lender?.permits ?? this.#ledger.permits,
      depth: owner?.depth ?? 0,
      sequential: plan.what === 'publish' ? this.#subject.sequential : plan.command.eventOrder === 'sequential',
      emissions: [],
      failures: [],
      main: undefined,
      settled: false
    }
    this.#open++
    if (owner !== undefined) owner.calls++
    lender?.called.push(group)
    try {
      if (plan.what === 'publish') await this.#publish(plan.event, group, calls, lender, caller)
      else await this.#command(plan.command, plan.reader, group, calls, lender, caller)
    } finally {
      this.#open--
      if (owner !== undefined) owner.calls--
      this.#ledger.countBusy()
    }
  }

  async #publish (plan: EventPlan, group: Group, calls: MediatorCalls, lender: Run | undefined, caller: Emitter | undefined): Promise<void> {
    const emitter: Emitter = { group, depth: group.depth, emitted: [], ended: true }
    const emission = this.#ledger.emission(plan, emitter)
    this.#ledger.keep(emission)
    const definition = this.#subject.event(plan.to)
    const publishing = calls.publish(definition, emission)
    emission.queuedAt = ++this.#ledger.clock
    const outcome = await outcomeOf(publishing)
    group.settled = true
    const { code } = coded(outcome)
    if (code === 'MEDIATOR_ERR_SHUTTING_DOWN' || code === 'MEDIATOR_ERR_EVENT_DEPTH') {
      if (code === 'MEDIATOR_ERR_EVENT_DEPTH' ? !this.#ledger.isTooDeep(emitter) : !this.#mayRefuse(lender, caller)) this.#ledger.broken.push(`a publish was refused: ${code}`)
      this.#ledger.forget(emission)
    } else {
      this.#ledger.checkGroup(group, 'publish')
      if (this.#ledger.isTooDeep(emitter)) this.#ledger.broken.push('an event was published deeper than maxEventDepth')
      if ('value' in outcome) this.#ledger.checkNoFailure(group, 'a publish resolved')
      else this.#ledger.checkFailure(group, outcome.error, 'a publish')
    }
    if ('error' in outcome) throw outcome.error
  }

  // During the grace of close, event handlers may call, and the commands that they call as long as they run.
  #mayRefuse (lender: Run | undefined, caller: Emitter | undefined): boolean {
    return this.#ledger.closing && (lender === undefined || this.#ledger.isDropping || (caller instanceof Main && caller.ended))
  }

  async #command (
    plan: CommandPlan, reader: ReaderPlan, group: Group, calls: MediatorCalls, lender: Run | undefined, caller: Emitter | undefined
  ): Promise<void> {
    const main = new Main(this, group, plan)
    group.main = main
    const controller = new AbortController()
    const { end } = reader
    const options = end?.by === 'signal' ? { signal: controller.signal } : {}
    const definition: Work | Task = plan.kind === 'regular' ? this.#subject.task(plan) : this.#subject.work(plan)
    const stream = reader.mode === 'send' ? undefined : calls.stream<Work | Task>(definition, main, options)
    const abort = (): void => {
      if (group.settled) return
      // Of `send` nobody knows whether it has ended in this very moment.
      main.aborted = stream === undefined ? 'maybe' : stream.endReason === undefined || main.aborted
      if (end?.by === 'signal') controller.abort(new Error('no longer wanted'))
      else stream?.abort('no longer wanted')
    }
    if (stream === undefined) {
      if (end?.by === 'signal') this.#abortAfter(end.after, abort)
      const outcome = await outcomeOf(calls.send(definition, main, options))
      this.#checkStream(main, outcome, lender, caller)
      if ('error' in outcome) throw outcome.error
      return
    }
    if (end !== undefined) this.#abortAfter(end.after, abort)
    if (reader.mode === 'result') {
      const outcome = await outcomeOf(stream.result)
      this.#checkStream(main, outcome, lender, caller, stream)
      if ('error' in outcome) throw outcome.error
      return
    }
    const iterator = stream[Symbol.asyncIterator]()
    // Leaving at once leaves nothing behind that could end later.
    let first: Promise<IteratorResult<{ index: number } | null | undefined, undefined>> | undefined
    if (reader.leaveAfter !== 0) first = iterator.next() as NonNullable<typeof first>
    first?.catch(() => {})
    const settling = outcomeOf(stream.result).then(outcome => {
      this.#checkStream(main, outcome, lender, caller, stream)
      return outcome
    })
    let failure: { readonly error: unknown } | undefined
    let left = false
    try {
      for (let read = 0; ; read++) {
        if (read === reader.leaveAfter) {
          left = true
          if (stream.endReason === undefined) main.aborted = true
          await iterator.return!()
          if (main.begun && !main.ended) this.#ledger.broken.push('leaving the loop did not wait for the end of the handler')
          break
        }
        const step = await (read === 0 && first !== undefined ? first : iterator.next())
        if (step.done === true) break
        this.#ledger.checkProgress(main, (step.value as { index: number }).index)
        await turns(reader.pause)
      }
    } catch (error) {
      failure = { error }
    }
    const outcome = await settling
    if (!left && failure?.error !== ('error' in outcome ? outcome.error : undefined)) {
      this.#ledger.broken.push(`iteration ended with ${String(failure?.error)}, where result ${JSON.stringify(outcome)}`)
    }
    if (failure !== undefined) throw failure.error
  }

  #abortAfter (after: number, abort: () => void): void {
    if (after === 0) abort()
    else this.#later(after, async () => abort())
  }

  #checkStream (main: Main, outcome: Outcome, lender: Run | undefined, caller: Emitter | undefined, stream?: MediatorStream<Work | Task>): void {
    const { group } = main
    group.settled = true
    const { code, reason } = coded(outcome)
    if (main.begun && !main.ended) this.#ledger.broken.push('a stream settled before its handler had ended')
    this.#ledger.checkGroup(group, 'stream')
    if (stream !== undefined && stream.endReason === undefined) this.#ledger.broken.push('a stream that has settled has no endReason')
    if (code === 'MEDIATOR_ERR_STREAM_ABORTED') {
      const isExpected = reason === 'cancelled' ? main.aborted !== false : reason === 'shutdown' && this.#ledger.isDropping
      // Its own handler may have thrown what an abort of another stream gave it.
      if (!isExpected && main.thrown?.error !== (outcome as { error: unknown }).error) this.#ledger.broken.push(`a stream was aborted by nobody: ${String(reason)}`)
      return
    }
    if (main.aborted === true) this.#ledger.broken.push(`a stream that was aborted ended with ${String(code ?? 'a result')}`)
    if ('value' in outcome) {
      if (!main.returned || outcome.value !== main.index) this.#ledger.broken.push(`a stream gave ${String(outcome.value)} where its handler did not return that`)
      this.#ledger.checkNoFailure(group, 'a stream completed')
    } else if (!main.begun) {
      if (code !== 'MEDIATOR_ERR_SHUTTING_DOWN' || !this.#mayRefuse(lender, caller)) this.#ledger.broken.push(`a stream did not start: ${String(outcome.error)}`)
    } else if (main.thrown === undefined || outcome.error !== main.thrown.error) {
      this.#ledger.checkFailure(group, outcome.error, 'a stream')
    }
  }

  // All permits are back, and not one more.
  async #checkPermits (): Promise<void> {
    const { limit } = this.#subject
    let started = 0
    let release = (): void => {}
    const gate = new Promise<void>(resolve => { release = resolve })
    let settled = 0
    for (let each = 0; each <= limit; each++) {
      const probe = this.#subject.probe(async () => {
        started++
        await gate
      })
      void probe.then(() => { settled++ })
    }
    await turns(3)
    if (started !== limit) this.#ledger.broken.push(`${started} handlers start at the end, where the limit is ${limit}`)
    release()
    await this.#until(() => settled === limit + 1, 'a further publish is handled')
  }

  #expect (outcome: Outcome, what: string, code: string): void {
    if (coded(outcome).code !== code) this.#ledger.broken.push(`${what} ended with ${JSON.stringify(outcome)}`)
  }

  #error (what: string): Error {
    return new Error(`${what} ${++this.#errors}`)
  }

  // By turns, because a busy machine has fewer of them; the time bounds what never happens.
  async #until (isTrue: () => boolean, what: string): Promise<void> {
    const startedAt = performance.now()
    for (let turns = 0; !isTrue(); turns++) {
      if (turns > 1_000 && performance.now() - startedAt > 3_000) {
        this.#ledger.broken.push(`not within 3 s: ${what} (${this.#open} open)`)
        return
      }
      await turn()
    }
  }
}

async function turns (count: number): Promise<void> {
  for (let each = 0; each < count; each++) await turn()
}

// Reads the promise at once: to await a stream's `result` reads it a microtask later, when a handler that left it may have ended.
async function outcomeOf (promise: Promise<unknown>): Promise<Outcome> {
  return await promise.then(value => ({ value }), (error: unknown) => ({ error }))
}

function coded (outcome: Outcome): Partial<Coded> {
  return 'error' in outcome ? outcome.error as Coded : {}
}

function activeTimers (): number {
  return process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
}
