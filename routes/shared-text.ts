import { FrameText } from '../lib/frame-text.js'
import type { FrameFormat } from '../lib/frame-text.js'
import type { FrameStyle } from '../lib/frame-style.js'
import type { LogEntry, LogPosition } from '../lib/stream-log.js'

/** How readers of a kept stream get its frames. */
export interface TextOptions {
  readonly streamId: string
  readonly format: FrameFormat
  readonly style: FrameStyle
  /** Whether clients are told to come back. */
  readonly retry: boolean
}

/** The frames of one kept stream as text, for all replies that read it alike: what one of them has written, the next ones get as it is. */
export class SharedText {
  readonly heartbeat: string
  readonly #text: FrameText
  readonly #onUnused: () => void
  #readers = 0
  // The entries that were written last. Not themselves: the log may have given them up.
  #first: LogPosition | undefined
  #last: LogPosition | undefined
  #written = ''

  constructor ({ streamId, format, style, retry }: TextOptions, onUnused: () => void) {
    this.#text = new FrameText(streamId, format, style, { retry })
    this.heartbeat = this.#text.heartbeat
    this.#onUnused = onUnused
  }

  open (): this {
    this.#readers++
    return this
  }

  close (): void {
    this.#readers--
    // What one reader alone has got, nobody asks for again.
    if (this.#readers <= 1) this.#remember(undefined, undefined, '')
    if (this.#readers === 0) this.#onUnused()
  }

  /** The text of entries that follow each other, at least one. */
  write (entries: readonly LogEntry[]): string {
    const first = entries[0]!
    const last = entries[entries.length - 1]!
    if (isSame(this.#first, first) && isSame(this.#last, last)) return this.#written
    let text = ''
    for (const entry of entries) text += this.#text.write(entry)
    if (this.#readers > 1) this.#remember(positionOf(first), positionOf(last), text)
    return text
  }

  /** The end of one reader, which is none of the stream: it has no id. */
  writeReadersEnd (data: string): string {
    return this.#text.writeReadersEnd(data)
  }

  #remember (first: LogPosition | undefined, last: LogPosition | undefined, text: string): void {
    this.#first = first
    this.#last = last
    this.#written = text
  }
}

// Two attempts may have written the same number, of which only one is in the log.
function isSame (one: LogPosition | undefined, other: LogPosition): boolean {
  return one?.seq === other.seq && one.attempt === other.attempt
}

function positionOf ({ seq, attempt }: LogEntry): LogPosition {
  return { seq, attempt }
}

/** The texts of all kept streams that somebody reads. */
export class SharedTexts {
  readonly #texts = new Map<string, SharedText>()

  /** Gives the text of a stream to one more reader, who closes it. */
  open (options: TextOptions): SharedText {
    const key = JSON.stringify([options.streamId, options.format, options.retry, options.style])
    let text = this.#texts.get(key)
    if (text === undefined) {
      text = new SharedText(options, () => this.#texts.delete(key))
      this.#texts.set(key, text)
    }
    return text.open()
  }
}
