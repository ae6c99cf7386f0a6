import { withBehaviors } from './behavior.js'
import type { Behavior } from './behavior.js'
import type { CallOptions, EventDelivery, StreamOptions, StreamSettings } from './call-options.js'
import type { Caller } from './caller.js'
import type { CommandDefinition, InputOf } from './definition.js'
import { InvalidOptionsError, ShuttingDownError, UnknownCommandError } from './errors.js'
import { assertEvent } from './event.js'
import type { EventDefinition } from './event.js'
import { EventDispatcher } from './event-dispatcher.js'
import type { DispatcherOptions } from './event-dispatcher.js'
import { EventGroup } from './event-group.js'
import type { EventRun } from './event-run.js'
import { streamOf } from './handler.js'
import type { AnyHandler, CallContext, HandlerContext } from './handler.js'
import { detachAfterMs } from './handler-run.js'
import { logThrown } from './logger.js'
import type { Logger } from './logger.js'
import type { MediatorCalls } from './mediator-calls.js'
import type { MediatorStats } from './mediator-stats.js'
import { MediatorStream } from './mediator-stream.js'
import type { HandlerCall, StreamHost } from './mediator-stream.js'
import { OpenCalls } from './open-calls.js'
import type { OpenLimits } from './open-calls.js'
import { StreamScope, assertScopeOption } from './scope.js'
import type { Scope } from './scope.js'
import type { StreamEnd, StreamEndHook } from './stream-end.js'

/** The handler of a command as it was added. */
export interface Registration {
  readonly handler: AnyHandler
  readonly settings: StreamSettings
}

/** What a call has from its options, or from who makes it. */
type Inheritance = Pick<HandlerCall, 'caller' | 'log' | 'scope'>

/** Who makes calls: the app, the handler of a stream, or an event handler. What it does not say, its calls inherit. */
interface CallMaker {
  readonly caller: Caller | undefined
  /** Undefined for the app: each of its calls gets a scope of its own. */
  readonly scope: StreamScope | undefined
  readonly log: Logger
  /** The event handler on whose permit the events of the calls run. */
  readonly run: EventRun | undefined
  /** Whether it may still call while the mediator closes. */
  isAtWork (): boolean
}

export interface CallRunnerOptions extends Omit<DispatcherOptions, 'callsOf'>, OpenLimits {
  readonly maxPendingEvents: number
  /** Of the events that are published. */
  readonly eventOrder: EventDelivery['eventOrder']
  readonly createScope: (() => Scope) | undefined
}

/** Makes the calls of the app and of its handlers, gives each what it inherits, and ends what is open when the mediator closes. */
export class CallRunner {
  readonly handlers = new Map<string, Registration>()
  behaviors: readonly Behavior[] = []
  readonly dispatcher: EventDispatcher
  /** The mediator as the app sees it. */
  readonly app: MediatorCalls
  readonly open: OpenCalls
  readonly endHooks: StreamEndHook[] = []
  readonly #options: CallRunnerOptions
  readonly #onDispose = (disposal: Promise<void>): void => { void this.open.track(disposal) }
  #closing: Promise<void> | undefined

  constructor (options: CallRunnerOptions) {
    this.#options = options
    this.open = new OpenCalls(options)
    this.dispatcher = new EventDispatcher({
      ...options,
      callsOf: run => this.#callsOf({ caller: run.caller, scope: run.group.scope, log: run.log, run, isAtWork: () => run.holdsPermit })
    })
    this.app = this.#callsOf({ caller: undefined, scope: undefined, log: options.log, run: undefined, isAtWork: () => false })
  }

  stats (): MediatorStats {
    return {
      streams: this.open.streams.size,
      owners: this.open.owners,
      detachedHandlers: this.open.detached,
      runningEventHandlers: this.dispatcher.running,
      waitingEventHandlers: this.dispatcher.waiting
    }
  }

  /** Takes no new calls, and ends what is still open after `graceMs`. */
  close (graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  // The mediator as a handler sees it. The calls of an event handler are counted, and their events run on its own permit.
  #callsOf (maker: CallMaker): MediatorCalls {
    const { run } = maker
    const host = this.#hostOf(maker)
    const counted = async <T>(call: () => Promise<T>): Promise<T> => run === undefined ? await call() : await run.call(call)
    const calls: MediatorCalls = {
      stream: (definition, input, options) => this.#stream(maker, host, definition, input, options),
      send: async (definition, input, options) => await counted(async () => await calls.stream(definition, input, options).result),
      publish: async (definition, payload, options) => await counted(async () => await this.#publish(maker, definition, payload, options))
    }
    return calls
  }

  #hostOf (maker: CallMaker): StreamHost {
    const { run } = maker
    return {
      maxPendingEvents: this.#options.maxPendingEvents,
      callsOf: stream => this.#callsOf({ ...stream.inheritance, run, isAtWork: () => this.open.streams.has(stream) }),
      createGroup: options => this.#createGroup(run, options),
      streamStarted: stream => {
        this.#assertOpen(maker)
        this.open.addStream(stream)
        run?.callStarted()
      },
      streamSettled: stream => {
        this.open.deleteStream(stream)
        run?.callEnded()
      },
      streamEnded: end => this.#tellEnd(end),
      handlerDetached: () => { this.open.detached++ },
      detachedHandlerEnded: () => { this.open.detached-- }
    }
  }

  #stream<D extends CommandDefinition> (
    maker: CallMaker, host: StreamHost, definition: D, input: InputOf<D>, options: StreamOptions = {}
  ): MediatorStream<D> {
    // Without rest and spread: they cost more than all else that is done here.
    const { signal, resumeAfter, owner, streamId } = options
    if (owner !== undefined && typeof owner !== 'string') throw new InvalidOptionsError('call', 'owner must be a string')
    const registration = this.handlers.get(definition.name)
    if (registration === undefined) throw new UnknownCommandError(definition.name)
    const { settings } = registration
    const handler = this.behaviors.length === 0
      ? registration.handler
      : withBehaviors(this.behaviors, { kind: 'stream', definition }, registration.handler)
    const { caller, log, scope } = this.#inherit(maker, options)
    return new MediatorStream<D>({ definition, handler, settings, input, signal, resumeAfter, owner, streamId, caller, log, scope, host })
  }

  async #publish (maker: CallMaker, definition: EventDefinition, payload: unknown, options: CallOptions = {}): Promise<void> {
    assertEvent(definition)
    this.#assertOpen(maker)
    const inherited = this.#inherit(maker, options)
    const { caller, log, scope } = inherited
    const publish = async (changed: unknown): Promise<void> => {
      const group = this.#createGroup(maker.run, {
        owner: definition.name, sequential: this.#options.eventOrder === 'sequential', log: () => log, caller, scope, streamId: undefined
      })
      group.emit(definition, changed)
      group.seal()
      await group.below(1)
      if (group.failure !== undefined) throw group.failure
    }
    scope.enter()
    await this.open.track((async () => {
      try {
        if (this.behaviors.length === 0) await publish(payload)
        else await this.#publishInBehaviors({ ...inherited, run: maker.run }, definition, payload, publish)
      } finally {
        scope.leave(() => log)
      }
    })())
  }

  async #publishInBehaviors (
    inherited: Inheritance & Pick<CallMaker, 'run'>, definition: EventDefinition, payload: unknown, publish: (payload: unknown) => Promise<void>
  ): Promise<void> {
    let atWork = true
    const { caller, log, scope } = inherited
    const mediator = (): MediatorCalls => this.#callsOf({ ...inherited, isAtWork: () => atWork })
    const context: CallContext = {
      caller,
      log: log.child({ event: definition.name }),
      get mediator () { return mediator() },
      get scope () { return scope.scope }
    }
    const wrapped = withBehaviors(this.behaviors, { kind: 'publish', definition }, publish)
    // The context of a publish has no members that only a stream has: the type of a behavior's call says so.
    const steps = streamOf(wrapped, payload, context as HandlerContext)
    try {
      while ((await steps.next()).done !== true) { /* What is yielded here has no reader. */ }
    } finally {
      atWork = false
    }
  }

  #inherit (maker: CallMaker, { caller = maker.caller, log = maker.log, scope }: CallOptions): Inheritance {
    assertScopeOption('call', scope)
    if (scope === undefined && maker.scope !== undefined) return { caller, log, scope: maker.scope }
    return { caller, log, scope: new StreamScope(scope ?? this.#options.createScope, this.#onDispose) }
  }

  // A hook is not part of a stream: whatever becomes of it is logged, and nobody waits.
  #tellEnd (end: StreamEnd): void {
    const { streamId, command } = end
    const failed = (error: unknown): void => logThrown(this.#options.log, 'error', error, { streamId, command }, 'hook failed after the end of a stream')
    for (const hook of this.endHooks) {
      try {
        void Promise.resolve(hook(end)).catch(failed)
      } catch (error) {
        failed(error)
      }
    }
  }

  // While the mediator closes, handlers may still finish what they do, until its grace is over.
  #assertOpen (maker: CallMaker): void {
    if (this.#closing === undefined) return
    if (!maker.isAtWork() || this.dispatcher.signal.aborted) throw new ShuttingDownError()
  }

  #createGroup (run: EventRun | undefined, options: Parameters<StreamHost['createGroup']>[0]): EventGroup {
    return new EventGroup({ ...options, dispatcher: this.dispatcher, lane: () => run?.lane ?? this.dispatcher.lane, depth: run?.depth ?? 0 })
  }

  async #close (graceMs: number): Promise<void> {
    const idle = this.open.settled().then(() => this.dispatcher.idle())
    if (await settlesWithin(graceMs, idle)) return
    for (const stream of this.open.streams) stream.end('shutdown')
    this.dispatcher.abort(new ShuttingDownError())
    // Those that listen to their signal run their finally blocks now; the others are reported and left to themselves.
    await settlesWithin(detachAfterMs, idle)
    const left = this.dispatcher.release()
    if (left.running > 0 || left.dropped > 0) this.#options.log.warn(left, 'event handlers did not finish before the mediator closed')
  }
}

async function settlesWithin (ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<false>(resolve => { timer = setTimeout(resolve, ms, false) })
  try {
    return await Promise.race([work.then(() => true), timeout])
  } finally {
    clearTimeout(timer)
  }
}
