import type { StreamOptions } from '../client/client.js'
import { ClientError } from '../client/client-error.js'
import type { ClientStream } from '../client/client-stream.js'
import { beforeNextFrame } from './next-frame.js'
import { orAborted } from './or-aborted.js'
import { newKey } from './run-memory.js'
import type { RememberedRun, RunMemory } from './run-memory.js'
import { StreamRun, idle, isGap } from './stream-run.js'
import type { StreamSnapshot } from './stream-run.js'

/** What begins streams. */
export interface StreamSource<Input, Progress, Result> {
  start (input: Input, options: StreamOptions): ClientStream<Progress, Result>
  attach (url: string, lastEventId?: string): ClientStream<Progress, Result>
  /** How the stream at the url stands. */
  statusOf (url: string): Promise<StreamStatus>
}

/** What is needed of a stream's status. */
export interface StreamStatus {
  readonly attempt: number
  readonly lastEventId: string | null
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
  #isClosed = false

  constructor (source: StreamSource<Input, Progress, Result>, { keep, memory }: StreamStoreOptions<Input>) {
    this.#source = source
    this.#keep = keep
    this.#memory = memory
    // Before the run is gone on with, so that no effect takes the page for one where nothing runs.
    if (memory?.recall() !== undefined) this.#snapshot = { ...idle, status: 'connecting' }
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
    // Nobody would leave what is begun now.
    if (this.#isClosed) return this.#refuse()
    const { method, url, signal, idempotencyKey = this.#memory && newKey() } = options
    const remembered = this.#memory && { input, options: { idempotencyKey, method, url } }
    const keyed = idempotencyKey !== undefined
    const begin = (signal: AbortSignal | undefined): Promise<Result> =>
      this.#read(this.#source.start(input, { ...options, idempotencyKey, signal }), { remembered, keyed })
    if (!keyed || signal === undefined || signal.aborted) return begin(signal)
    // A signal closes the connection, which does not reach a run with a key: it is handed on when the server can be told.
    const controller = new AbortController()
    const result = begin(controller.signal)
    const run = this.#run!
    return orAborted(result, signal, () => { void this.#cancel(run, async () => controller.abort(signal.reason)) })
  }

  /** Cancels the command. Resolves when the server has said how it ended. */
  readonly cancel = async (): Promise<void> => {
    if (this.#run !== undefined) await this.#cancel(this.#run)
  }

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
    if (run === undefined) {
      if (this.#run === undefined) this.#publish()
      return
    }
    const stream = 'streamUrl' in run ? this.#source.attach(run.streamUrl) : this.#source.start(run.input, run.options)
    void this.#read(stream, { remembered: run, keyed: !('streamUrl' in run) })
    if (run.cancelRequested === true) void this.cancel()
  }

  /** Begins nothing any more: its component has gone away for good. */
  close (): void {
    this.#isClosed = true
  }

  /** Leaves the stream: one that the server keeps goes on, another ends. */
  leave (): void {
    this.#run?.leave()
  }

  // A rejection that nobody reads is no unhandled one: the snapshot tells it.
  #read (stream: ClientStream<Progress, Result>, { remembered, keyed }: { remembered: RememberedRun<Input> | undefined, keyed: boolean }): Promise<Result> {
    this.leave()
    const skipGap = remembered && (async (url: string) => {
      const { attempt, lastEventId } = await this.#source.statusOf(url)
      return { attempt, stream: this.#source.attach(url, lastEventId ?? undefined) }
    })
    const run = new StreamRun(stream, { keep: this.#keep, keyed, skipGap })
    this.#run = run
    // Before anything is sent.
    this.#remember(remembered)
    const result = run.follow(() => { if (run === this.#run) this.#publishSoon() })
    const onEnd = (error?: unknown): void => { if (run === this.#run) this.#onEnd(error) }
    result.then(() => onEnd(), onEnd)
    this.#publish()
    return result
  }

  // Like that of a stream, a rejection that nobody reads is no unhandled one.
  #refuse (): Promise<never> {
    const refusal = Promise.reject(new ClientError('truncated', 'CLIENT_ERR_LEFT'))
    refusal.catch(() => {})
    return refusal
  }

  async #cancel (run: StreamRun<Progress, Result>, cancelStream?: () => Promise<void>): Promise<void> {
    if (run === this.#run && !run.ended && this.#remembered !== undefined) this.#remember({ ...this.#remembered, cancelRequested: true })
    await run.cancel(cancelStream)
  }

  #onEnd (error: unknown): void {
    // What a signal was aborted with may be anything.
    const { kind, problem } = Object(error) as Partial<ClientError>
    const run = this.#remembered
    const { url } = this.#run!
    // Frames that are gone are not the end of their stream.
    const isGone = !isGap(error) && (problem?.status === 404 || problem?.status === 410)
    if (run !== undefined && isGone) {
      // The server has forgotten it, and so does the page. Where a page before this one has seen the end, there is nothing to tell.
      if ('streamUrl' in run && run.ended) return this.reset()
      this.#remember(undefined)
    } else if (run !== undefined && kind !== 'truncated') {
      // One whose end was not seen is asked for again; one that was refused has nothing to come back to.
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
    const url = this.#run?.url
    const asked = this.#remembered
    if (url !== undefined && asked !== undefined && !('streamUrl' in asked)) {
      this.#remember({ streamUrl: url, ended: false, cancelRequested: asked.cancelRequested })
    }
    this.#snapshot = this.#run?.snapshot() ?? idle
    for (const listener of this.#listeners) listener()
  }
}
