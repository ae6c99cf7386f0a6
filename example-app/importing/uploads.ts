import { mkdtemp, open, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileTooLargeError, TooManyUploadsError, UnknownUploadError, UploadExistsError } from './errors.js'

export const maxUploadBytes = 1_073_741_824
const maxUploads = 16
const keptMs = 10 * 60_000

interface Upload {
  readonly path: string
  readonly bytes: number
  readonly endedAt: number
}

/** CSV files that wait for their import, in a temporary folder. Those that nobody imports within ten minutes make room for others. */
export class Uploads {
  readonly #waiting = new Map<string, Upload>()
  readonly #arriving = new Set<string>()
  #folder: Promise<string> | undefined

  /** Writes a body to disk while it arrives, and resolves its bytes. */
  async add (id: string, body: AsyncIterable<Buffer>): Promise<number> {
    await this.#makeRoom()
    if (this.#waiting.has(id) || this.#arriving.has(id)) throw new UploadExistsError()
    if (this.#waiting.size + this.#arriving.size >= maxUploads) throw new TooManyUploadsError()
    this.#arriving.add(id)
    try {
      const folder = await (this.#folder ??= mkdtemp(join(tmpdir(), 'imports-')))
      const path = join(folder, `${id}.csv`)
      const part = `${path}.part`
      try {
        const bytes = await write(part, body)
        await rename(part, path)
        this.#waiting.set(id, { path, bytes, endedAt: performance.now() })
        return bytes
      } catch (error) {
        await rm(part, { force: true })
        throw error
      }
    } finally {
      this.#arriving.delete(id)
    }
  }

  has (id: string): boolean {
    return this.#waiting.has(id)
  }

  /** Opens a file for its import, once. It has no name any more, and is gone when it is closed. */
  async take (id: string): Promise<{ readonly file: FileHandle, readonly bytes: number }> {
    const upload = this.#waiting.get(id)
    if (upload === undefined) throw new UnknownUploadError()
    this.#waiting.delete(id)
    const file = await open(upload.path)
    await rm(upload.path, { force: true })
    return { file, bytes: upload.bytes }
  }

  async close (): Promise<void> {
    this.#waiting.clear()
    if (this.#folder !== undefined) await rm(await this.#folder, { recursive: true, force: true })
  }

  async #makeRoom (): Promise<void> {
    for (const [id, { path, endedAt }] of this.#waiting) {
      if (endedAt > performance.now() - keptMs) continue
      this.#waiting.delete(id)
      await rm(path, { force: true })
    }
  }
}

async function write (path: string, body: AsyncIterable<Buffer>): Promise<number> {
  const file = await open(path, 'wx', 0o600)
  try {
    let bytes = 0
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > maxUploadBytes) throw new FileTooLargeError(maxUploadBytes)
      await file.writeFile(chunk)
    }
    return bytes
  } finally {
    await file.close()
  }
}
