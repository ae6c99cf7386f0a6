import { EventEmitter } from 'node:events'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { TempFolder } from '../temp-folder.js'
import type { UploadState } from './contracts.js'
import {
  TooManyUploadsError, UnknownUploadError, UploadExistsError, UploadIncompleteError, UploadOffsetError, UploadTakenOverError, UploadTooLargeError
} from './upload-errors.js'
import { Upload } from './upload.js'

export interface UploadOptions {
  /** What the name of the folder begins with. @default 'uploads' */
  readonly folderName?: string | undefined
  /** Where the folder is made. @default the system's folder for temporary files */
  readonly tempDir?: string | undefined
  /** Of one file. @default 16 GiB */
  readonly maxBytes?: number | undefined
  /** Of all that has arrived, and is still there. @default 64 GiB */
  readonly maxTotalBytes?: number | undefined
  /** How many there may be, complete ones included. @default 1_000 */
  readonly maxUploads?: number | undefined
  /** How long one is kept that nothing is added to, in milliseconds. @default an hour */
  readonly keepMs?: number | undefined
}

const gibibyte = 2 ** 30

/** Uploads in a temporary folder. Emits `change` with an `UploadState` after each piece that has arrived. */
export class UploadFolder extends EventEmitter<{ change: [UploadState] }> {
  readonly maxBytes: number
  readonly #maxTotalBytes: number
  readonly #maxUploads: number
  readonly #keepMs: number
  readonly #folder: TempFolder
  readonly #uploads = new Map<string, Upload>()

  constructor ({
    folderName = 'uploads', tempDir, maxBytes = 16 * gibibyte, maxTotalBytes = 64 * gibibyte, maxUploads = 1_000, keepMs = 3_600_000
  }: UploadOptions = {}) {
    super()
    // One listener for each stream that watches: their number is limited by the mediator.
    this.setMaxListeners(0)
    this.maxBytes = maxBytes
    this.#maxTotalBytes = maxTotalBytes
    this.#maxUploads = maxUploads
    this.#keepMs = keepMs
    this.#folder = new TempFolder(folderName, tempDir)
  }

  /** Where the files are. It is made by the first of them. */
  get path (): string {
    return this.#folder.path
  }

  /** Removes what killed processes have left: to be called at the start. */
  async removeAbandoned (): Promise<void> {
    await this.#folder.removeAbandoned()
  }

  /** How an upload stands, also one that has not begun. */
  stateOf (uploadId: string): UploadState {
    return this.#uploads.get(uploadId)?.state ?? { uploadId, state: 'unknown', receivedBytes: 0 }
  }

  /** An upload that nobody writes to any more: a client that asks has lost the request before, whatever the server knows of that. */
  async settled (uploadId: string): Promise<Upload | undefined> {
    const upload = this.#uploads.get(uploadId)
    await upload?.stop(new UploadTakenOverError())
    return this.#uploads.get(uploadId)
  }

  /** Begins an upload. Without a size it ends where its body does. */
  begin (uploadId: string, name: string, sizeBytes?: number): Upload {
    if (this.#uploads.has(uploadId)) throw new UploadExistsError(uploadId)
    if (sizeBytes !== undefined && sizeBytes > this.maxBytes) throw new UploadTooLargeError(this.maxBytes)
    if (this.#uploads.size >= this.#maxUploads) this.#dropEmpty()
    if (this.#uploads.size >= this.#maxUploads || this.#receivedBytes() + (sizeBytes ?? 0) > this.#maxTotalBytes) throw new TooManyUploadsError()
    const upload = new Upload({
      uploadId,
      name,
      path: join(this.path, uploadId),
      sizeBytes,
      onChange: state => {
        upload.expiry!.refresh()
        this.emit('change', state)
      }
    })
    upload.expiry = setTimeout(() => { this.giveUp(uploadId).catch(() => {}) }, this.#keepMs).unref()
    this.#uploads.set(uploadId, upload)
    return upload
  }

  /** Adds what a body brings, at an offset that must be the upload's. What has arrived is kept, however it ends. */
  async append (upload: Upload, offset: number, body: Readable): Promise<void> {
    await this.#folder.make()
    if (offset !== upload.receivedBytes) throw new UploadOffsetError(upload.receivedBytes, offset)
    await upload.write(body, receivedBytes => {
      if (receivedBytes > (upload.sizeBytes ?? this.maxBytes)) throw new UploadTooLargeError(upload.sizeBytes ?? this.maxBytes)
      if (this.#receivedBytes() + receivedBytes - upload.receivedBytes > this.#maxTotalBytes) throw new TooManyUploadsError()
    })
  }

  /** Takes a whole file from one body, and resolves its bytes. Of one that breaks off nothing is kept, because nobody can go on with it. */
  async receive (uploadId: string, name: string, body: Readable): Promise<number> {
    const upload = this.begin(uploadId, name)
    try {
      await this.append(upload, 0, body)
      upload.finish()
      return upload.receivedBytes
    } finally {
      if (!upload.isComplete) await this.giveUp(uploadId)
    }
  }

  /** @throws EXAMPLE_ERR_UNKNOWN_UPLOAD (404), EXAMPLE_ERR_UPLOAD_INCOMPLETE (409) */
  requireComplete (uploadId: string): Upload {
    const upload = this.#uploads.get(uploadId)
    if (upload === undefined) throw new UnknownUploadError(JSON.stringify(uploadId))
    if (!upload.isComplete) throw new UploadIncompleteError(uploadId)
    return upload
  }

  /** Opens a complete upload, once: it is given up then, and its file is gone when it is closed. */
  async take (uploadId: string): Promise<{ readonly file: FileHandle, readonly bytes: number }> {
    const { path, receivedBytes: bytes } = this.requireComplete(uploadId)
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(error => {
      // By somebody else, in the meantime.
      this.requireComplete(uploadId)
      throw error
    })
    try {
      this.requireComplete(uploadId)
      await this.giveUp(uploadId)
      return { file, bytes }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Removes an upload and its file; one that is not there is removed already. */
  async giveUp (uploadId: string): Promise<void> {
    const upload = this.#uploads.get(uploadId)
    if (upload === undefined) return
    this.#uploads.delete(uploadId)
    clearTimeout(upload.expiry)
    await upload.remove()
  }

  async close (): Promise<void> {
    await Promise.all(Array.from(this.#uploads.keys(), uploadId => this.giveUp(uploadId)))
    await this.#folder.close()
  }

  // Not what was announced: that costs nothing to send, and would keep everybody else out.
  #receivedBytes (): number {
    let bytes = 0
    for (const { receivedBytes } of this.#uploads.values()) bytes += receivedBytes
    return bytes
  }

  // For the same reason the oldest one without a byte makes room for another.
  #dropEmpty (): void {
    const oldest = Array.from(this.#uploads.values()).find(({ receivedBytes }) => receivedBytes === 0)
    if (oldest !== undefined) this.giveUp(oldest.uploadId).catch(() => {})
  }
}
