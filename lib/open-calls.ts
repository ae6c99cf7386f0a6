import type { CommandDefinition } from './definition.js'
import { TooManyStreamsError, TooManyStreamsOfOwnerError } from './errors.js'
import type { MediatorStream } from './mediator-stream.js'

/** How much may be open at once. */
export interface OpenLimits {
  readonly maxStreams: number
  readonly maxStreamsPerOwner: number
}

/** What is open in a mediator: streams, publishes, and scopes that are being disposed. */
export class OpenCalls {
  /** Those that have started and not settled. */
  readonly streams = new Set<MediatorStream<CommandDefinition>>()
  /** Handlers whose streams have ended without them. */
  detached = 0
  readonly #limits: OpenLimits
  readonly #owners = new Map<string, number>()
  #others = 0
  #onSettled: (() => void) | undefined

  constructor (limits: OpenLimits) {
    this.#limits = limits
  }

  /** How many owners have streams open. */
  get owners (): number {
    return this.#owners.size
  }

  /** @throws MEDIATOR_ERR_TOO_MANY_STREAMS, MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER */
  addStream (stream: MediatorStream<CommandDefinition>): void {
    const { maxStreams, maxStreamsPerOwner } = this.#limits
    if (this.streams.size >= maxStreams) throw new TooManyStreamsError()
    const { owner } = stream
    if (owner !== undefined) {
      const open = this.#owners.get(owner) ?? 0
      if (open >= maxStreamsPerOwner) throw new TooManyStreamsOfOwnerError(maxStreamsPerOwner)
      this.#owners.set(owner, open + 1)
    }
    this.streams.add(stream)
  }

  deleteStream (stream: MediatorStream<CommandDefinition>): void {
    this.streams.delete(stream)
    const { owner } = stream
    if (owner !== undefined) {
      const open = this.#owners.get(owner)!
      if (open > 1) this.#owners.set(owner, open - 1)
      else this.#owners.delete(owner)
    }
    this.#tell()
  }

  /** Waits for a publish, or for a scope's disposal: what a scope holds may need a database that the app closes next. */
  async track<T> (work: Promise<T>): Promise<T> {
    this.#others++
    try {
      return await work
    } finally {
      this.#others--
      this.#tell()
    }
  }

  /** Resolves when nothing is open. */
  async settled (): Promise<void> {
    await new Promise<void>(resolve => {
      this.#onSettled = resolve
      this.#tell()
    })
  }

  #tell (): void {
    if (this.streams.size === 0 && this.#others === 0) this.#onSettled?.()
  }
}
