import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import createError from '@fastify/error'
import { TempFolder } from '../temp-folder.js'

const maxFiles = 8
const maxWriting = 4

export const TooManyExportsError = createError('EXAMPLE_ERR_TOO_MANY_EXPORTS', 'Too many exports are on their way: come back later', 503)
export const UnknownExportError = createError('EXAMPLE_ERR_UNKNOWN_EXPORT', 'There is no such file, or no more: the newest ones are kept', 404)

/** Exports in a temporary folder, of which the newest are kept. Their names cannot be guessed: whoever has one may read the file. */
export class ExportFiles {
  // In the order in which they were finished.
  readonly #names = new Set<string>()
  readonly #folder: TempFolder
  #writing = 0

  /** @param tempDir is where the folder is made, the system's for temporary files where it is left out */
  constructor (tempDir?: string) {
    this.#folder = new TempFolder('exports', tempDir)
  }

  /** Removes what killed processes have left: to be called at the start. */
  async removeAbandoned (): Promise<void> {
    await this.#folder.removeAbandoned()
  }

  async begin (extension: string): Promise<NewExport> {
    if (this.#writing >= maxWriting) throw new TooManyExportsError()
    this.#writing++
    try {
      await this.#folder.make()
      const name = `${randomBytes(16).toString('hex')}.${extension}`
      const path = join(this.#folder.path, name)
      const part = `${path}.part`
      const file = await open(part, 'wx', 0o600)
      return new NewExport(file, async finished => {
        this.#writing--
        if (!finished) return await rm(part, { force: true })
        await rename(part, path)
        this.#names.add(name)
        await this.#removeOldest()
      }, name)
    } catch (error) {
      this.#writing--
      throw error
    }
  }

  /** Opens a file that is finished. */
  async open (name: string): Promise<{ readonly file: FileHandle, readonly bytes: number }> {
    if (!this.#names.has(name)) throw new UnknownExportError()
    const file = await open(join(this.#folder.path, name))
    return { file, bytes: (await file.stat()).size }
  }

  async close (): Promise<void> {
    await this.#folder.close()
  }

  async #removeOldest (): Promise<void> {
    const [oldest] = this.#names
    if (oldest === undefined || this.#names.size <= maxFiles) return
    this.#names.delete(oldest)
    await rm(join(this.#folder.path, oldest), { force: true })
  }
}

/** A file that is being written. It must be ended, finished or not. */
export class NewExport {
  readonly name: string
  readonly #file: FileHandle
  readonly #onEnd: (finished: boolean) => Promise<void>
  #finished = false

  constructor (file: FileHandle, onEnd: (finished: boolean) => Promise<void>, name: string) {
    this.#file = file
    this.#onEnd = onEnd
    this.name = name
  }

  /** Appends, and resolves the bytes. */
  async write (text: string): Promise<number> {
    const chunk = Buffer.from(text)
    await this.#file.writeFile(chunk)
    return chunk.length
  }

  /** Keeps the file. */
  async finish (): Promise<void> {
    this.#finished = true
    await this.end()
  }

  /** Closes the file, and removes one that is not finished. Does nothing the second time. */
  end = async (): Promise<void> => {
    this.end = async () => {}
    try {
      await this.#file.close()
    } catch (error) {
      // Not all of it may be on the disk.
      this.#finished = false
      throw error
    } finally {
      await this.#onEnd(this.#finished)
    }
  }
}
