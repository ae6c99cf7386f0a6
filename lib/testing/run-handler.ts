import { setImmediate as nextTurn } from 'node:timers/promises'
import type { StreamOptions } from '../call-options.js'
import type { CommandDefinition, InputOf, ProgressOf, ResultOf } from '../definition.js'
import { FrameEncoder } from '../frame-encoder.js'
import { frameStyle } from '../frame-style.js'
import type { ChainHandler, ChainHandlerClass, Handler, HandlerClass, RegularHandler } from '../handler.js'
import { TurnClock } from '../turns.js'
import type { MediatorStream } from '../mediator-stream.js'
import type { LogRecord } from './log-record.js'
import { Recording } from './recording.js'
import type { RecordedEvent, RecordingOptions } from './recording.js'
import { snapshot } from './snapshot.js'

/** Options of {@link runHandler}. */
export interface RunHandlerOptions<D extends CommandDefinition = CommandDefinition> extends Omit<StreamOptions, 'log' | 'owner'>, RecordingOptions {
  /** Called with each progress: the place to abort. The handler is not resumed before what this returns has settled. */
  readonly onProgress?: (progress: ProgressOf<D>) => unknown
}

/** What was seen of a handler. The lists fill while it runs. */
export interface HandlerRecord<D extends CommandDefinition = CommandDefinition> {
  /** Each as it was when it was yielded. */
  readonly progress: ReadonlyArray<ProgressOf<D>>
  /** In the order of their emits, those of nested calls and of event handlers included. */
  readonly events: readonly RecordedEvent[]
  readonly logs: readonly LogRecord[]
}

/** What a handler came to. */
export interface HandlerOutcome<D extends CommandDefinition = CommandDefinition> extends HandlerRecord<D> {
  readonly result: ResultOf<D>
}

/** A handler that runs: a promise of its outcome, with what was seen by now. */
export type RunningHandler<D extends CommandDefinition = CommandDefinition> = Promise<HandlerOutcome<D>> & HandlerRecord<D>

/**
 * Runs a handler without a server, as a route that streams would: on a mediator of its own, with progress and result checked against
 * their schemas. Takes whatever `addHandler` takes. The input is handed on as it is. The handler starts at once, or when `register` is done.
 *
 * Resolves when the handler, its events and its calls have settled. Rejects then, too, with what the handler threw, or what else
 * its stream failed with: MEDIATOR_ERR_INVALID_OUTPUT, MEDIATOR_ERR_EVENT_HANDLER_FAILED, MEDIATOR_ERR_STREAM_ABORTED.
 */
export function runHandler<D extends CommandDefinition> (
  definition: D, handler: Handler<D> | HandlerClass<D>, input: InputOf<D>, options?: RunHandlerOptions<D>
): RunningHandler<D>
export function runHandler<D extends CommandDefinition> (
  definition: D, handler: RegularHandler<D>, input: InputOf<D>, options?: RunHandlerOptions<D>
): RunningHandler<D>
export function runHandler<D extends CommandDefinition> (
  definition: D, chain: ReadonlyArray<ChainHandler<D> | ChainHandlerClass<D> | string | symbol>, input: InputOf<D>, options?: RunHandlerOptions<D>
): RunningHandler<D>
export function runHandler<D extends CommandDefinition> (
  definition: D, nameInScope: string | symbol, input: InputOf<D>, options?: RunHandlerOptions<D>
): RunningHandler<D>
export function runHandler<D extends CommandDefinition> (
  definition: D, handler: unknown, input: InputOf<D>, { register, messageBroker, onProgress, ...options }: RunHandlerOptions<D> = {}
): RunningHandler<D> {
  const recording = new Recording({ register, messageBroker })
  const { events, logs, mediator } = recording
  const progress: Array<ProgressOf<D>> = []
  const run = async (): Promise<HandlerOutcome<D>> => {
    // What it is, `addHandler` finds out.
    mediator.addHandler(definition, handler as Handler<D>)
    const result = await recording.run(async () => await read(mediator.stream(definition, input, options), progress, onProgress))
    return { progress, result, events, logs }
  }
  return Object.assign(run(), { progress, events, logs })
}

async function read<D extends CommandDefinition> (
  stream: MediatorStream<D>, progress: Array<ProgressOf<D>>, onProgress: RunHandlerOptions<D>['onProgress']
): Promise<ResultOf<D>> {
  // Nobody reads its frames: it refuses what a route could not write.
  const encoder = new FrameEncoder(stream.definition, stream.streamId, 'sse', frameStyle(stream.definition))
  const turn = new TurnClock()
  turn.begin()
  for await (const value of stream) {
    try {
      encoder.progress(value)
    } catch (error) {
      stream.end('failed', error)
      throw error
    }
    progress.push(snapshot(value))
    await onProgress?.(value)
    // A handler that never awaits must not keep timers, and with them whatever aborts it, from running.
    if (!turn.isOver()) continue
    await nextTurn()
    turn.begin()
  }
  const result = await stream.result
  encoder.complete(result)
  return result
}
