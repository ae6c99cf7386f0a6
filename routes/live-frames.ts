import type { FastifyBaseLogger } from 'fastify'
import type { CommandDefinition } from '../lib/definition.js'
import type { EndReason } from '../lib/errors.js'
import type { FrameEncoder } from '../lib/frame-encoder.js'
import { logThrown } from '../lib/logger.js'
import type { MediatorStream } from '../lib/mediator-stream.js'
import { failureOf } from '../lib/stream-failure.js'
import type { StreamConsumer, Written } from '../lib/stream-iterator.js'
import type { FrameSource, FrameTarget } from './frame-source.js'

export interface LiveFramesOptions {
  readonly stream: MediatorStream<CommandDefinition>
  readonly encoder: FrameEncoder
  readonly heartbeatMs: number
  readonly log: FastifyBaseLogger
}

/** The frames of a stream that is not kept: made as its handler makes progress, for the one reader it ends with. */
export class LiveFrames implements FrameSource, StreamConsumer {
  readonly streamId: string
  readonly command: string
  readonly #stream: MediatorStream<CommandDefinition>
  readonly #encoder: FrameEncoder
  readonly #heartbeatMs: number
  readonly #log: FastifyBaseLogger
  #target: FrameTarget | undefined
  #failure: { readonly error: unknown } | undefined
  #isLogged = false

  constructor ({ stream, encoder, heartbeatMs, log }: LiveFramesOptions) {
    this.streamId = stream.streamId
    this.command = stream.definition.name
    this.#stream = stream
    this.#encoder = encoder
    this.#heartbeatMs = heartbeatMs
    this.#log = log
  }

  get heartbeat (): string {
    return this.#encoder.heartbeat
  }

  get frames (): number {
    return this.#encoder.frames
  }

  get written (): Written {
    // Not a spread, which costs more than the rest of a stream's end.
    const { frames, bytes, closed } = this.#target!.written
    return { frames, bytes, closed, failure: this.#failure }
  }

  open (target: FrameTarget): void {
    this.#target = target
    // Its number is 1, so it is made before any other frame; before the commit it may still be thrown away.
    target.hold(this.#encoder.start(this.#heartbeatMs))
    this.#stream.consume(this)
  }

  pull (): void {
    this.#stream.pull()
  }

  close (reason: EndReason | undefined): void {
    if (reason !== undefined) {
      if (!this.#isLogged) this.#log.info(this.#fields(reason), 'stream ended')
      this.#stream.end(reason)
    }
    this.#stream.replyClosed()
  }

  onProgress (value: unknown): void {
    let text: string
    try {
      text = this.#encoder.progress(value)
    } catch (error) {
      this.#stream.end('failed', error)
      return
    }
    this.#target!.write(text)
  }

  onComplete (result: unknown): void {
    try {
      this.#target!.finish(this.#encoder.complete(result))
      this.#log.debug(this.#fields('completed'), 'stream ended')
    } catch (error) {
      this.#failure = { error }
      this.onError(error)
    }
  }

  onError (thrown: unknown): void {
    const target = this.#target!
    if (target.written.closed) return
    const { error, problem, reason, level, afterEvents } = failureOf(this.#stream, thrown)
    if (!target.isCommitted) {
      target.refuse(error)
      return
    }
    this.#isLogged = true
    logThrown(this.#log, level, error, this.#fields(reason), 'stream ended')
    const finish = (): void => { if (!target.written.closed) target.finish(this.#encoder.failed(problem)) }
    if (afterEvents) this.#stream.result.then(finish, finish)
    else finish()
  }

  // Not a child logger for one line.
  #fields (reason: EndReason): Record<string, unknown> {
    return { streamId: this.streamId, command: this.command, reason }
  }
}
