import type { ClientError } from '../client/client-error.js'
import type { ClientStream, ClientStreamState } from '../client/client-stream.js'
import { beforeNextFrame } from './next-frame.js'
import { turn } from './turn.js'

/** What a component shows of a stream. It changes once a frame of the screen at most, however many events there are. */
export interface StreamSnapshot<Progress, Result> {
  /** `'idle'` before the first `start` and after `reset`, else how the stream stands. */
  readonly status: ClientStreamState
  /** The newest progress, up to `keep` of it, oldest first. */
  readonly progress: readonly Progress[]
  /** The newest of all; undefined before the first. */
  readonly latest: Progress | undefined
  /** How much progress there was, whether it is kept or not. */
  readonly count: number
  /** What the command returned; undefined before its end. */
  readonly result: Result | undefined
  /** Why there is no result: a `ClientError`, or the reason of a signal; undefined while the stream runs. */
  readonly error: unknown
  /** The id of the stream, once the server has told it. */
  readonly streamId: string | undefined
  /** The server's attempt. Where it grows the command has begun again, and progress from before is dropped. */
  readonly attempt: number
}

export const idle: StreamSnapshot<never, never> = {
  status: 'idle', progress: [], latest: undefined, count: 0, result: undefined, error: undefined, streamId: undefined, attempt: 0
}

/** How a run is read. */
export interface StreamRunOptions<Progress, Result> {
  /** How many of the newest progress are kept. */
  readonly keep: number
  /** Whether it was asked for under a key: then it is not its connection that ends it, and it can be cancelled by its url alone. */
  readonly keyed: boolean
  /** Finds the stream behind frames that the server has trimmed. Without it their loss is an error. */
  readonly skipGap?: ((url: string) => Promise<StreamAfterGap<Progress, Result>>) | undefined
}

/** A stream that is read on behind a gap. */
export interface StreamAfterGap<Progress, Result> {
  readonly stream: ClientStream<Progress, Result>
  /** The server's attempt, which was told in a frame that is gone. */
  readonly attempt: number
}

// Half of a frame of the screen: the other is for what the page does with it.
const turnMs = 8

/** Reads one stream to its end, and keeps what a component shows of it. */
export class StreamRun<Progress, Result> {
  readonly #options: StreamRunOptions<Progress, Result>
  #stream: ClientStream<Progress, Result>
  #iterator: AsyncIterator<Progress>
  // Up to twice as much as is kept, so that each of them is moved once at most.
  #progress: Progress[] = []
  #latest: Progress | undefined
  #count = 0
  #attempt = 0
  #result: Result | undefined
  #error: unknown
  #ended = false
  #isLeft = false
  #skipsGap = false
  #waitsToCancel = false

  constructor (stream: ClientStream<Progress, Result>, options: StreamRunOptions<Progress, Result>) {
    this.#options = options
    this.#stream = stream
    this.#iterator = stream[Symbol.asyncIterator]()
  }

  get url (): string | undefined {
    return this.#stream.url
  }

  get ended (): boolean {
    return this.#ended
  }

  snapshot (): StreamSnapshot<Progress, Result> {
    this.#dropAttemptsBefore(this.#stream.attempt)
    return {
      status: this.#skipsGap ? 'reconnecting' : this.#stream.state,
      progress: this.#newest(),
      latest: this.#latest,
      count: this.#count,
      result: this.#result,
      error: this.#error,
      streamId: this.#stream.streamId,
      attempt: this.#attempt
    }
  }

  /** Resolves with the result when the stream has ended, and rejects with what it failed with. */
  async follow (onChange: () => void): Promise<Result> {
    try {
      this.#result = await this.#readToEnd(onChange).catch(async error => await this.#readBehindGap(error, onChange))
      this.#ended = true
      return this.#result
    } catch (error) {
      this.#error = error
      this.#ended = true
      throw error
    }
  }

  /** Cancels the command. Before the first frame of a run that has a key nobody could tell the server, and a closed connection tells it nothing. */
  async cancel (cancelStream = async (): Promise<void> => await this.#stream.cancel()): Promise<void> {
    while (!this.#ended && (this.#skipsGap || (this.#options.keyed && this.#stream.streamId === undefined))) {
      this.#waitsToCancel = true
      // A stream does not tell when its first frame has come.
      await new Promise<void>(resolve => beforeNextFrame(resolve))
    }
    await cancelStream()
  }

  /** Leaves the stream: one that the server keeps goes on, another ends. One that waits to be cancelled is read until it is. */
  leave (): void {
    this.#isLeft = true
    if (!this.#waitsToCancel) void this.#iterator.return!()
  }

  async #readToEnd (onChange: () => void): Promise<Result> {
    this.#stream.onStateChange = onChange
    let turnAt = performance.now()
    for (let next = await this.#iterator.next(); next.done !== true; next = await this.#iterator.next()) {
      this.#add(next.value)
      onChange()
      // What has come already is read without a pause, and would leave the page no time to be drawn.
      if (performance.now() - turnAt > turnMs) {
        await turn()
        turnAt = performance.now()
      }
    }
    return await this.#stream.result
  }

  // Once: a server that trims faster than is read would be asked without end.
  async #readBehindGap (error: unknown, onChange: () => void): Promise<Result> {
    const { url } = this.#stream
    if (!isGap(error) || url === undefined || this.#options.skipGap === undefined) throw error
    this.#skipsGap = true
    const behind = await this.#options.skipGap(url).catch(() => undefined)
    this.#skipsGap = false
    if (behind === undefined || (this.#isLeft && !this.#waitsToCancel)) throw error
    this.#dropAttemptsBefore(behind.attempt)
    this.#stream = behind.stream
    this.#iterator = behind.stream[Symbol.asyncIterator]()
    return await this.#readToEnd(onChange)
  }

  #add (progress: Progress): void {
    this.#dropAttemptsBefore(this.#stream.attempt)
    this.#count++
    this.#latest = progress
    this.#progress.push(progress)
    if (this.#progress.length >= 2 * this.#options.keep) this.#progress = this.#newest()
  }

  #newest (): Progress[] {
    return this.#progress.slice(Math.max(0, this.#progress.length - this.#options.keep))
  }

  // Where the command has begun again, what was told before will be told once more.
  #dropAttemptsBefore (attempt: number): void {
    if (attempt <= this.#attempt) return
    this.#attempt = attempt
    this.#progress = []
    this.#latest = undefined
    this.#count = 0
  }
}

/** Whether the server has trimmed frames that were to be read. The stream itself is still there. */
export function isGap (error: unknown): boolean {
  // What a signal was aborted with may be anything.
  return (Object(error) as Partial<ClientError>).problem?.code === 'MEDIATOR_ERR_LOG_GAP'
}
