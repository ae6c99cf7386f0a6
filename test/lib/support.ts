import { pino } from 'pino'
import type { Test } from 'tap'
import { resolveEventHandlerOptions } from '../../lib/event.js'
import type { EventDefinition, EventHandler } from '../../lib/event.js'
import { EventDispatcher } from '../../lib/event-dispatcher.js'
import type { DispatcherOptions } from '../../lib/event-dispatcher.js'
import { EventGroup } from '../../lib/event-group.js'
import type { GroupOptions } from '../../lib/event-group.js'
import { StreamScope } from '../../lib/scope.js'
import type { MediatorOptions } from '../../lib/mediator-options.js'
import { StreamingMediator } from '../../lib/streaming-mediator.js'
import { createLog } from '../support/app.js'
import type { LogLine } from '../support/app.js'

export { deferred } from '../support/app.js'
export type { LogLine } from '../support/app.js'

/** A mediator whose log the test can read. It closes with the test. */
export function createMediator (t: Test, options: MediatorOptions = {}): { mediator: StreamingMediator, logs: LogLine[] } {
  const { logs, logger: { level, stream } } = createLog()
  const mediator = new StreamingMediator({ closeGraceMs: 0, logger: pino({ level }, stream), ...options })
  t.teardown(() => mediator.close())
  return { mediator, logs }
}

interface Events {
  readonly dispatcher: EventDispatcher
  readonly logs: LogLine[]
  addHandler<E extends EventDefinition> (definition: E, handler: EventHandler<E>): void
  createGroup (options?: Partial<GroupOptions>): EventGroup
}

/** A dispatcher without a mediator, and scopes on its own lane. */
export function createEvents (concurrency: number, options: Partial<DispatcherOptions> = {}): Events {
  const { logs, logger: { level, stream } } = createLog()
  const log = pino({ level }, stream)
  const callsOf = (): never => { throw new Error('there is no mediator here') }
  const dispatcher = new EventDispatcher({ concurrency, maxEventDepth: 16, log, callsOf, ...options })
  return {
    dispatcher,
    logs,
    addHandler: (definition, handler) => dispatcher.addHandler(definition, {
      name: handler.name, handler: handler as EventHandler, options: resolveEventHandlerOptions(definition.name, {})
    }),
    createGroup: options => new EventGroup({
      owner: 'owner',
      dispatcher,
      lane: () => dispatcher.lane,
      depth: 0,
      sequential: false,
      log: () => log,
      caller: undefined,
      scope: new StreamScope(undefined),
      streamId: undefined,
      ...options
    })
  }
}

/** Fails where a promise does not settle in time; also keeps the process alive, which the project's own timers do not. */
export async function within<T> (ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => reject(new Error(`not settled within ${ms} ms`)), ms) })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What a promise rejects with. */
export async function rejection (promise: Promise<unknown>): Promise<Error & { code?: string, reason?: string }> {
  return await within(5_000, promise.then<never, Error>(
    value => { throw new Error(`resolved with ${JSON.stringify(value)} where a rejection is expected`) },
    error => error
  ))
}

/** Everything that an iterable gives. */
export async function collect<T> (iterable: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = []
  for await (const value of iterable) values.push(value)
  return values
}

/** Leaves a loop over a stream after its first value. */
export async function leave (stream: AsyncIterable<unknown>): Promise<void> {
  // eslint-disable-next-line no-unreachable-loop, @typescript-eslint/no-unused-vars
  for await (const _ of stream) break
}
