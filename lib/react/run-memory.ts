import type { StreamOptions } from '../client/client.js'

/** A run that was asked for, and whose stream is not known yet. */
export interface AskedRun<Input> {
  readonly input: Input
  /** With the key under which it was asked for, so that asking again does not start another. */
  readonly options: Pick<StreamOptions, 'idempotencyKey' | 'method' | 'url'>
  /** Whether it was cancelled before the server could be told: then the page after this one tells it. */
  readonly cancelRequested?: boolean | undefined
}

/** A run whose stream can be read. */
export interface KnownRun {
  readonly streamUrl: string
  /** Whether its end was seen. */
  readonly ended: boolean
  readonly cancelRequested?: boolean | undefined
}

/** What a page needs to go on with a run of the page before it. */
export type RememberedRun<Input> = AskedRun<Input> | KnownRun

const keyBytes = 16

/** Remembers one run for as long as its tab is open, reloads included. Where a browser keeps nothing, it remembers nothing. */
export class RunMemory<Input> {
  readonly #name: string

  constructor (name: string) {
    this.#name = `useStream ${name}`
  }

  recall (): RememberedRun<Input> | undefined {
    try {
      const run = JSON.parse(storage().getItem(this.#name)!)
      return typeof (run.streamUrl ?? run.options.idempotencyKey) === 'string' ? run : undefined
    } catch {
      // No storage, nothing there, or not what was written.
      return undefined
    }
  }

  keep (run: RememberedRun<Input>): void {
    try {
      storage().setItem(this.#name, JSON.stringify(run))
    } catch {
      // It is full, or refused: then a reload begins anew, and not with the run before this one.
      this.forget()
    }
  }

  forget (): void {
    try {
      storage().removeItem(this.#name)
    } catch {}
  }
}

/** Makes a key that nobody can guess: whoever has it may read the stream. Not by `randomUUID`, which pages without TLS do not have. */
export function newKey (): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(keyBytes)), byte => byte.toString(16).padStart(2, '0')).join('')
}

interface Storage {
  getItem (name: string): string | null
  setItem (name: string, value: string): void
  removeItem (name: string): void
}

// Asking for it throws where a user has forbidden it.
function storage (): Storage {
  return (globalThis as unknown as { sessionStorage: Storage }).sessionStorage
}
