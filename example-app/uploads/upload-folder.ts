import { EventEmitter } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { UploadState } from './contracts.js'
import { TooManyUploadsError, UnknownUploadError, UploadIncompleteError, UploadOffsetError, UploadTakenOverError, UploadTooLargeError } from './upload-errors.js'
import { Upload } from './upload.js'

export interface UploadOptions {
  /** Where the folder is made. @default the system's folder for temporary files */
  readonly tempDir?: string | undefined
  /** Of one file. @default 16 GiB */
  readonly maxBytes?: number | undefined
  /** Of all files that are there. @default 64 GiB */
  readonly maxTotalBytes?: number | undefined
  /** How many there may be, complete ones included. @default 1_000 */
  readonly maxUploads?: number | undefined
  /** How long one is kept that nothing is added to, in milliseconds. @default an hour */
  readonly keepMs?: number | undefined
}

const gibibyte = 2 ** 30

/** Uploads in a temporary folder. Emits `change` with an `UploadState` after each piece that has arrived. */
export class UploadFolder extends EventEmitter<{ change: [UploadState] }> {
  readonly path: string
  readonly maxBytes: number
  readonly #maxTotalBytes: number
  readonly #maxUploads: number
  readonly #keepMs: number
  readonly #uploads = new Map<string, Upload>()

  private constructor (path: string, { maxBytes = 16 * gibibyte, maxTotalBytes = 64 * gibibyte, maxUploads = 1_000, keepMs = 3_600_000 }: UploadOptions) {
    super()
    // One listener for each stream that watches: their number is limited by the mediator.
    this.setMaxListeners(0)
    this.path = path
    this.maxBytes = maxBytes
    this.#maxTotalBytes = maxTotalBytes
    this.#maxUploads = maxUploads
    this.#keepMs = keepMs
  }

  static async make (options: UploadOptions = {}): Promise<UploadFolder> {
    return new UploadFolder(await mkdtemp(join(options.tempDir ?? tmpdir(), 'uploads-')), options)
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
    // By another request, in the meantime.
    if (this.#uploads.has(uploadId)) throw new UploadTakenOverError()
    if (sizeBytes !== undefined && sizeBytes > this.maxBytes) throw new UploadTooLargeError(this.maxBytes)
    if (this.#uploads.size >= this.#maxUploads || this.#totalBytes() + (sizeBytes ?? 0) > this.#maxTotalBytes) throw new TooManyUploadsError()
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
    if (offset !== upload.receivedBytes) throw new UploadOffsetError(upload.receivedBytes, offset)
    await upload.write(body, receivedBytes => {
      if (receivedBytes > (upload.sizeBytes ?? this.maxBytes)) throw new UploadTooLargeError(upload.sizeBytes ?? this.maxBytes)
      if (upload.sizeBytes === undefined && this.#totalBytes() + receivedBytes - upload.receivedBytes > this.#maxTotalBytes) throw new TooManyUploadsError()
    })
  }

  /** @throws EXAMPLE_ERR_UNKNOWN_UPLOAD (404), EXAMPLE_ERR_UPLOAD_INCOMPLETE (409) */
  requireComplete (uploadId: string): void {
    const { state } = this.stateOf(uploadId)
    if (state === 'unknown') throw new UnknownUploadError(JSON.stringify(uploadId))
    if (state !== 'complete') throw new UploadIncompleteError(uploadId)
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
    await rm(this.path, { recursive: true, force: true })
  }

  #totalBytes (): number {
    let bytes = 0
    for (const { sizeBytes, receivedBytes } of this.#uploads.values()) bytes += sizeBytes ?? receivedBytes
    return bytes
  }
}
