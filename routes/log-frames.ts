import type { EndReason } from '../lib/errors.js'
import { ShuttingDownError } from '../lib/errors.js'
import { problemOf } from '../lib/problem.js'
import type { LogEntry, LogReader } from '../lib/stream-log.js'
import type { FrameSource, FrameTarget } from './frame-source.js'
import type { SharedText } from './shared-text.js'

export interface LogFramesOptions {
  readonly streamId: string
  readonly command: string
  readonly reader: LogReader
  readonly text: SharedText
  /** The error that a stream which failed before its first progress is answered with; without it, it is a stream like any other. */
  readonly refusalOf?: ((failed: LogEntry) => unknown) | undefined
}

/** The frames of a stream that is kept, from one reader's place on. The stream goes on without that reader. */
export class LogFrames implements FrameSource {
  readonly streamId: string
  readonly command: string
  readonly #reader: LogReader
  readonly #text: SharedText
  readonly #refusalOf: LogFramesOptions['refusalOf']
  readonly #onReady = (): void => { if (!this.#target!.written.closed) this.pull() }
  #target: FrameTarget | undefined
  #frames = 0

  constructor ({ streamId, command, reader, text, refusalOf }: LogFramesOptions) {
    this.streamId = streamId
    this.command = command
    this.#reader = reader
    this.#text = text
    this.#refusalOf = refusalOf
  }

  get heartbeat (): string {
    return this.#text.heartbeat
  }

  get frames (): number {
    return this.#frames
  }

  open (target: FrameTarget): void {
    this.#target = target
  }

  pull (): void {
    let entries: readonly LogEntry[]
    try {
      entries = this.#reader.take()
    } catch (error) {
      this.#endReader(error)
      return
    }
    if (entries.length > 0) this.#write(entries)
    else if (this.#reader.ended) this.#endReader(new ShuttingDownError())
    else this.#reader.onReady(this.#onReady)
  }

  close (_reason: EndReason | undefined): void {
    this.#reader.close()
    this.#text.close()
  }

  #write (entries: readonly LogEntry[]): void {
    const target = this.#target!
    const text = this.#text.write(entries)
    const last = entries[entries.length - 1]!
    if (last.event === 'failed' && !target.isCommitted && last.seq === 2 && this.#refusalOf !== undefined) {
      target.refuse(this.#refusalOf(last))
      return
    }
    this.#frames += entries.length
    if (last.event === 'failed' || last.event === 'complete') {
      target.finish(text)
    } else if (last.event === 'start' && !target.isCommitted) {
      target.hold(text)
      this.pull()
    } else {
      target.write(text)
    }
  }

  // Of what was not kept there is nothing to read, and a log that was closed does not come back.
  #endReader (error: unknown): void {
    const target = this.#target!
    if (target.isCommitted) target.finish(this.#text.writeReadersEnd(JSON.stringify(problemOf(error, this.streamId))))
    else target.refuse(error)
  }
}
