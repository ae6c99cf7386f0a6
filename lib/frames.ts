import type { CommandDefinition } from './definition.js'
import { InvalidOptionsError } from './errors.js'
import { FrameDataWriter } from './frame-data.js'
import type { FrameData } from './frame-data.js'
import { formatFrameId } from './frame-id.js'
import { logThrown } from './logger.js'
import type { MediatorStream } from './mediator-stream.js'
import { problemOf, toldError } from './problem.js'
import { StreamIterator } from './stream-iterator.js'
import type { Written } from './stream-iterator.js'

/** One frame of a stream, for an SSE plugin that writes it. */
export interface StreamFrame<Data = unknown> {
  readonly event: string
  readonly id: string
  /** The value that JSON carries, or its text. */
  readonly data: Data
}

/** Options of {@link frames}. */
export interface FramesOptions {
  /** `'value'` for plugins that serialize data themselves, as @fastify/sse does; `'text'` for those that do not. @default 'value' */
  readonly data?: 'value' | 'text'
}

/**
 * The frames of a stream, from `start` to `complete` or `failed`, for the `reply.sse` of other SSE plugins. Leaving the loop ends the
 * stream. It never throws what the handler threw: that is the frame `failed`, and a line in the log.
 * @throws MEDIATOR_ERR_INVALID_OPTIONS, MEDIATOR_ERR_STREAM_ITERATED
 */
export function frames<D extends CommandDefinition> (
  stream: MediatorStream<D>, options: FramesOptions & { readonly data: 'text' }
): AsyncGenerator<StreamFrame<string>, void, void>
export function frames<D extends CommandDefinition> (stream: MediatorStream<D>, options?: FramesOptions): AsyncGenerator<StreamFrame, void, void>
export function frames<D extends CommandDefinition> (
  stream: MediatorStream<D>, { data = 'value' }: FramesOptions = {}
): AsyncGenerator<StreamFrame, void, void> {
  if (data !== 'value' && data !== 'text') throw new InvalidOptionsError('frames', "data must be 'value' or 'text'")
  const generator = framesOf(stream, data)
  const finish = generator.return.bind(generator)
  const leave = async (): ReturnType<typeof finish> => {
    stream.abort()
    return await finish()
  }
  // A generator's own would wait until the handler has yielded again. A Readable that is destroyed with an error throws.
  return Object.assign(generator, {
    return: leave,
    throw: async (error: unknown) => {
      await leave()
      throw error
    }
  })
}

async function * framesOf<D extends CommandDefinition> (stream: MediatorStream<D>, data: 'value' | 'text'): AsyncGenerator<StreamFrame, void, void> {
  // A stream that was read before is a mistake of the program, not a failure of the stream.
  const written = {
    frames: 0,
    bytes: 0,
    failure: undefined as Written['failure'],
    isEncoded: false,
    // A result that cannot be written is a failure. Any other end is known without the reader, who may never come back.
    get closed () { return this.isEncoded || stream.endReason !== 'completed' }
  }
  const iterator = new StreamIterator(stream, written)
  const writer = new FrameDataWriter(stream.definition)
  const { streamId } = stream
  let seq = 0
  const frameOf = ({ event, data: text }: FrameData, terminal = false): StreamFrame => ({
    event, id: formatFrameId(streamId, ++seq, 1, terminal), data: data === 'value' ? JSON.parse(text) as unknown : text
  })
  let last
  try {
    yield frameOf(writer.start({ streamId, command: stream.definition.name, attempt: 1, resumable: false }))
    for await (const progress of { [Symbol.asyncIterator]: () => iterator }) {
      let frame
      try {
        frame = writer.progress(progress)
      } catch (error) {
        stream.end('failed', error)
        throw error
      }
      // Only what is undefined has none, and that does not come.
      yield frameOf(frame!)
    }
    last = writer.complete(await stream.result)
  } catch (error) {
    // Not before its events have settled, as for a route.
    await stream.result.catch(() => {})
    written.failure = { error }
    const told = toldError(stream, error)
    const problem = problemOf(told, stream.streamId)
    logThrown(stream.log, problem.status >= 500 && told === error ? 'error' : 'info', told, {}, 'stream ended')
    last = writer.failed(problem)
  }
  written.isEncoded = true
  stream.replyClosed()
  yield frameOf(last, true)
}
