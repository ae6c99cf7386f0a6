import type { CommandDefinition } from './definition.js'
import { FrameTooLargeError } from './errors.js'
import { FrameDataWriter } from './frame-data.js'
import type { FrameData } from './frame-data.js'
import type { FrameStyle } from './frame-style.js'
import { FrameText } from './frame-text.js'
import type { FrameFormat } from './frame-text.js'
import { shortProblem } from './problem.js'
import type { Problem } from './problem.js'

/**
 * Writes the frames of a stream that is not kept, in order. A value that cannot be written throws MEDIATOR_ERR_INVALID_OUTPUT and
 * takes no number.
 */
export class FrameEncoder {
  readonly #definition: CommandDefinition
  readonly #streamId: string
  readonly #data: FrameDataWriter
  readonly #text: FrameText
  readonly #maxFrameBytes: number
  #seq = 0

  constructor (definition: CommandDefinition, streamId: string, format: FrameFormat, style: FrameStyle, maxFrameBytes = Infinity) {
    this.#definition = definition
    this.#streamId = streamId
    this.#data = new FrameDataWriter(definition)
    this.#text = new FrameText(streamId, format, style)
    this.#maxFrameBytes = maxFrameBytes
  }

  get heartbeat (): string {
    return this.#text.heartbeat
  }

  /** How many frames were written. */
  get frames (): number {
    return this.#seq
  }

  start (heartbeatMs?: number): string {
    return this.#write(this.#data.start({ streamId: this.#streamId, command: this.#definition.name, attempt: 1, resumable: false, heartbeatMs }))
  }

  /** An empty text for `undefined`, which is no frame. */
  progress (value: unknown): string {
    const frame = this.#data.progress(value)
    return frame === undefined ? '' : this.#write(frame)
  }

  complete (result: unknown): string {
    return this.#write(this.#data.complete(result))
  }

  failed (problem: Problem): string {
    try {
      return this.#write(this.#data.failed(problem))
    } catch {
      // Whatever made it too long, the reader learns that the stream has failed.
      return this.#write(this.#data.failed(shortProblem(problem)))
    }
  }

  #write ({ event, data }: FrameData): string {
    const frame = this.#text.write({ seq: this.#seq + 1, attempt: 1, event, data })
    // A character is at most three bytes long: most frames need not be measured.
    if (frame.length * 3 > this.#maxFrameBytes && Buffer.byteLength(frame) > this.#maxFrameBytes) {
      throw new FrameTooLargeError(this.#definition.name, this.#text.nameOf(event), this.#maxFrameBytes)
    }
    this.#seq++
    return frame
  }
}
