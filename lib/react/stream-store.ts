import type { StreamOptions } from '../client/client.js'
import type { ClientError } from '../client/client-error.js'
import type { ClientStream } from '../client/client-stream.js'
import { beforeNextFrame } from './next-frame.js'
import { newKey } from './run-memory.js'
import type { RememberedRun, RunMemory } from './run-memory.js'
import { StreamRun, idle } from './stream-run.js'
import type { StreamSnapshot } from './stream-run.js'

/** What begins streams. */
export interface StreamSource<Input, Progress, Result> {
  start (input: Input, options: StreamOptions): ClientStream<Progress, Result>
  attach (url: string): ClientStream<Progress, Result>
}

export interface StreamStoreOptions<Input> {
  /** How many of the newest progress are kept. */
  readonly keep: number
  /** Where a run is remembered for the page after this one; without it nothing is. */
  readonly memory: RunMemory<Input> | undefined
}

/** The streams of one component, one after the other. Its listeners are called once a frame of the screen at most. */
export class StreamStore<Input, Progress, Result> {
  readonly #source: StreamSource<Input, Progress, Result>
  readonly #keep: number
  readonly #memory: RunMemory<Input> | undefined
  readonly #listeners = new Set<() => void>()
  #run: StreamRun<Progress, Result> | undefined
  #remembered: RememberedRun<Input> | undefined
  #snapshot: StreamSnapshot<Progress, Result> = idle
  #takeBackFrame: (() => void) | undefined

  constructor (source: StreamSource<Input, Progress, Result>, { keep, memory }: StreamStoreOptions<Input>) {
    this.#source = source
    this.#keep = keep
    this.#memory = memory
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  readonly snapshot = (): StreamSnapshot<Progress, Result> => this.#snapshot

  /** What a server renders. */
  readonly serverSnapshot = (): StreamSnapshot<Progress, Result> => idle

  /** Leaves the stream before, and begins another. */
  readonly start = (input: Input, options: StreamOptions = {}): Promise<Result> => {
    if (this.#memory === undefined) return this.#read(this.#source.start(input, options), undefined)
    const { method, url, idempotencyKey = newKey() } = options
    return this.#read(this.#source.start(input, { ...options, idempotencyKey }), { input, options: { idempotencyKey, method, url } })
  }

  /** Cancels the command. Resolves when the server has said how it ended. */
  readonly cancel = async (): Promise<void> => { await this.#run?.stream.cancel() }

  /** Leaves the stream, and forgets what it has told. */
  readonly reset = (): void => {
    this.leave()
    this.#run = undefined
    this.#remember(undefined)
    this.#publish()
  }

  /** Goes on with the run of the page before, if there is one. */
  resume (): void {
    const run = this.#memory?.recall()
    if (run === undefined) return
    void this.#read('streamUrl' in run ? this.#source.attach(run.streamUrl) : this.#source.start(run.input, run.options), run)
  }

  /** Leaves the stream: one that the server keeps goes on, another ends. */
  leave (): void {
    this.#run?.leave()
  }

  // A rejection that nobody reads is no unhandled one: the snapshot tells it.
  #read (stream: ClientStream<Progress, Result>, remembered: RememberedRun<Input> | undefined): Promise<Result> {
    this.leave()
    const run = new StreamRun(stream, this.#keep)
    this.#run = run
    // Before anything is sent.
    this.#remember(remembered)
    const ended = run.follow(() => { if (run === this.#run) this.#publishSoon() })
    void ended.then(error => { if (run === this.#run) this.#onEnd(error) })
    this.#publish()
    return stream.result
  }

  #onEnd (error: unknown): void {
    // What a signal was aborted with may be anything.
    const { kind, problem } = Object(error) as Partial<ClientError>
    const run = this.#remembered
    if (run !== undefined && (problem?.status === 404 || problem?.status === 410)) {
      // The server has forgotten it, and so does the page. Where a page before this one has seen the end, there is nothing to tell.
      if ('streamUrl' in run && run.ended) return this.reset()
      this.#remember(undefined)
    } else if (run !== undefined && kind !== 'truncated') {
      // One whose end was not seen is asked for again; one that was refused has nothing to come back to.
      const { url } = this.#run!.stream
      this.#remember(url === undefined ? undefined : { streamUrl: url, ended: true })
    }
    this.#publish()
  }

  #remember (run: RememberedRun<Input> | undefined): void {
    this.#remembered = run
    if (run === undefined) this.#memory?.forget()
    else this.#memory!.keep(run)
  }

  #publishSoon (): void {
    this.#takeBackFrame ??= beforeNextFrame(() => this.#publish())
  }

  #publish (): void {
    this.#takeBackFrame?.()
    this.#takeBackFrame = undefined
    const url = this.#run?.stream.url
    if (url !== undefined && this.#remembered !== undefined && !('streamUrl' in this.#remembered)) this.#remember({ streamUrl: url, ended: false })
    this.#snapshot = this.#run?.snapshot() ?? idle
    for (const listener of this.#listeners) listener()
  }
}
