import { constants } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { UploadState } from './contracts.js'
import { UploadGivenUpError, UploadTakenOverError } from './upload-errors.js'

export interface UploadSettings {
  readonly uploadId: string
  readonly name: string
  readonly path: string
  /** Undefined where it is known at the end only. */
  readonly sizeBytes: number | undefined
  readonly onChange: (state: UploadState) => void
}

/** One file that arrives, in one or more requests. */
export class Upload {
  readonly uploadId: string
  readonly name: string
  readonly path: string
  sizeBytes: number | undefined
  receivedBytes = 0
  /** Of the folder, which removes it then. */
  expiry: NodeJS.Timeout | undefined
  readonly #onChange: (state: UploadState) => void
  #writer: { readonly body: Readable, readonly ended: Promise<unknown> } | undefined
  #isGivenUp = false

  constructor ({ uploadId, name, path, sizeBytes, onChange }: UploadSettings) {
    this.uploadId = uploadId
    this.name = name
    this.path = path
    this.sizeBytes = sizeBytes
    this.#onChange = onChange
  }

  get isComplete (): boolean {
    return this.receivedBytes === this.sizeBytes
  }

  get state (): UploadState {
    const { uploadId, receivedBytes, sizeBytes } = this
    const state = this.#isGivenUp ? 'given-up' : this.isComplete ? 'complete' : 'incomplete'
    return { uploadId, state, receivedBytes, ...(sizeBytes !== undefined && { sizeBytes }) }
  }

  /**
   * Appends a body, piece by piece: the next one is read when the one before is in the file. One writer at a time.
   * @param check is called before each piece with what would have been received after it, and throws where that is too much
   */
  async write (body: Readable, check: (receivedBytes: number) => void): Promise<void> {
    if (this.#isGivenUp) throw new UploadGivenUpError()
    if (this.#writer !== undefined) throw new UploadTakenOverError()
    const ended = this.#append(body, check)
    this.#writer = { body, ended: ended.catch(() => {}) }
    try {
      await ended
    } finally {
      this.#writer = undefined
    }
  }

  /** Ends the writer, if there is one. Resolves when it writes no more. */
  async stop (reason: Error): Promise<void> {
    this.#writer?.body.destroy(reason)
    await this.#writer?.ended
  }

  /** Says that what has arrived is all. */
  finish (): void {
    this.sizeBytes = this.receivedBytes
    this.#onChange(this.state)
  }

  async remove (): Promise<void> {
    this.#isGivenUp = true
    await this.stop(new UploadGivenUpError())
    await rm(this.path, { force: true })
    this.#onChange(this.state)
  }

  async #append (body: Readable, check: (receivedBytes: number) => void): Promise<void> {
    const handle = await open(this.path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        check(this.receivedBytes + chunk.length)
        // What is not on the disk was not received: a full disk writes a part of it.
        for (let written = 0; written < chunk.length;) {
          const { bytesWritten } = await handle.write(chunk, written, chunk.length - written, this.receivedBytes)
          written += bytesWritten
          this.receivedBytes += bytesWritten
        }
        this.#onChange(this.state)
      }
    } finally {
      await handle.close()
    }
  }
}
