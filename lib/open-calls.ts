import type { CommandDefinition } from './definition.js'
import type { MediatorStream } from './mediator-stream.js'

/** What is open in a mediator: streams, publishes, and scopes that are being disposed. */
export class OpenCalls {
  /** Those that have started and not settled. */
  readonly streams = new Set<MediatorStream<CommandDefinition>>()
  #others = 0
  #onSettled: (() => void) | undefined

  addStream (stream: MediatorStream<CommandDefinition>): void {
    this.streams.add(stream)
  }

  deleteStream (stream: MediatorStream<CommandDefinition>): void {
    this.streams.delete(stream)
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
