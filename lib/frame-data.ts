import { serializersOf } from './definition.js'
import type { CommandDefinition, OutputSerializers } from './definition.js'
import type { Problem } from './problem.js'

/** What is told in a `start` frame. */
export interface StartData {
  readonly streamId: string
  readonly command: string
  readonly attempt: number
  readonly resumable: boolean
  /** Where the stream can be read again; only where it can. */
  readonly url?: string | undefined
  /** Only over HTTP. */
  readonly heartbeatMs?: number | undefined
}

/** The name and the data of one frame; the data is JSON text in one line. */
export interface FrameData {
  readonly event: string
  readonly data: string
}

/** Makes the data of a command's frames. What cannot be written throws MEDIATOR_ERR_INVALID_OUTPUT. */
export class FrameDataWriter {
  readonly #serializers: OutputSerializers
  readonly #single: boolean

  constructor (definition: CommandDefinition) {
    this.#serializers = serializersOf(definition)
    this.#single = this.#serializers.progressNames.length === 0
  }

  start (data: StartData): FrameData {
    return { event: 'start', data: JSON.stringify(data) }
  }

  /** Nothing for `undefined`, which is no frame. */
  progress (value: unknown): FrameData | undefined {
    if (value === undefined) return undefined
    if (this.#single) return { event: 'progress', data: this.#serializers.progress(undefined, value) }
    const { event, data } = (value ?? {}) as { event?: string, data?: unknown }
    return { event: event!, data: this.#serializers.progress(event ?? '', data) }
  }

  complete (result: unknown): FrameData {
    return { event: 'complete', data: this.#serializers.result(result) }
  }

  failed (problem: Problem): FrameData {
    return { event: 'failed', data: JSON.stringify(problem) }
  }
}
