import type { ClientStream, ClientStreamState } from '../client/client-stream.js'
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

// Half of a frame of the screen: the other is for what the page does with it.
const turnMs = 8

/** Reads one stream to its end, and keeps what a component shows of it. */
export class StreamRun<Progress, Result> {
  readonly stream: ClientStream<Progress, Result>
  readonly #iterator: AsyncIterator<Progress>
  readonly #keep: number
  // Up to twice as much as is kept, so that each of them is moved once at most.
  #progress: Progress[] = []
  #latest: Progress | undefined
  #count = 0
  #attempt = 0
  #result: Result | undefined
  #error: unknown

  constructor (stream: ClientStream<Progress, Result>, keep: number) {
    this.stream = stream
    this.#keep = keep
    this.#iterator = stream[Symbol.asyncIterator]()
  }

  snapshot (): StreamSnapshot<Progress, Result> {
    this.#dropEarlierAttempts()
    const { state, streamId, attempt } = this.stream
    return {
      status: state, progress: this.#newest(), latest: this.#latest, count: this.#count, result: this.#result, error: this.#error, streamId, attempt
    }
  }

  /** Resolves when the stream has ended, however it did: with what it failed with, if it did. */
  async follow (onChange: () => void): Promise<unknown> {
    this.stream.onStateChange = onChange
    let turnAt = performance.now()
    try {
      for (let next = await this.#iterator.next(); next.done !== true; next = await this.#iterator.next()) {
        this.#add(next.value)
        onChange()
        // What has come already is read without a pause, and would leave the page no time to be drawn.
        if (performance.now() - turnAt > turnMs) {
          await turn()
          turnAt = performance.now()
        }
      }
      this.#result = await this.stream.result
    } catch (error) {
      this.#error = error
    }
    return this.#error
  }

  /** Leaves the stream: one that the server keeps goes on, another ends. */
  leave (): void {
    void this.#iterator.return!()
  }

  #add (progress: Progress): void {
    this.#dropEarlierAttempts()
    this.#count++
    this.#latest = progress
    this.#progress.push(progress)
    if (this.#progress.length >= 2 * this.#keep) this.#progress = this.#newest()
  }

  #newest (): Progress[] {
    return this.#progress.slice(Math.max(0, this.#progress.length - this.#keep))
  }

  // Where the command has begun again, what was told before will be told once more.
  #dropEarlierAttempts (): void {
    if (this.stream.attempt <= this.#attempt) return
    this.#attempt = this.stream.attempt
    this.#progress = []
    this.#latest = undefined
    this.#count = 0
  }
}
