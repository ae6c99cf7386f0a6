import { constants } from 'node:fs'
import { open, readdir, realpath, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join, sep } from 'node:path'
import createError from '@fastify/error'

export const InvalidFileIdError = createError<[string]>('EXAMPLE_ERR_INVALID_FILE_ID',
  '%s is no file id: an id is the name of an entry of the folder, without a path', 400)

export const UnknownFileError = createError<[string]>('EXAMPLE_ERR_UNKNOWN_FILE', 'There is no file %s: GET /files lists the ids', 404)

const missing = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP'])

/** One folder of files. A file's id is the name of its entry: nothing outside of the folder can be named. */
export class FileFolder {
  readonly #path: string

  constructor (path: string) {
    this.#path = path
  }

  /** The ids that can be processed, in alphabetical order. */
  async list (): Promise<Array<{ fileId: string, sizeBytes: number }>> {
    const files = []
    for (const fileId of (await readdir(this.#path)).sort()) {
      try {
        files.push({ fileId, sizeBytes: (await stat(await this.find(fileId))).size })
      } catch {
        // A folder, a link to the outside, or removed since the folder was read: no file for us.
      }
    }
    return files
  }

  /**
   * The real path of a file.
   * @throws EXAMPLE_ERR_INVALID_FILE_ID (400), EXAMPLE_ERR_UNKNOWN_FILE (404)
   */
  async find (fileId: string): Promise<string> {
    if (fileId === '' || fileId === '.' || fileId === '..' || /[/\\\0]/.test(fileId)) throw new InvalidFileIdError(JSON.stringify(fileId))
    try {
      // Links are followed first, so that one that leads out of the folder is seen for what it is.
      const path = await realpath(join(this.#path, fileId))
      if (path.startsWith(await realpath(this.#path) + sep) && (await stat(path)).isFile()) return path
    } catch (error) {
      if (!missing.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
    throw new UnknownFileError(JSON.stringify(fileId))
  }

  async open (fileId: string): Promise<OpenFile> {
    // A link that took the file's place in the meantime is not followed.
    const handle = await open(await this.find(fileId), constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      return new OpenFile(fileId, (await handle.stat()).size, handle)
    } catch (error) {
      await handle.close()
      throw error
    }
  }
}

/** A file that is read once, piece by piece, and must be closed. */
export class OpenFile {
  bytesRead = 0
  readonly fileId: string
  readonly sizeBytes: number
  readonly #handle: FileHandle

  constructor (fileId: string, sizeBytes: number, handle: FileHandle) {
    this.fileId = fileId
    this.sizeBytes = sizeBytes
    this.#handle = handle
  }

  async * read (signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    // A stream that is made with an aborted signal fails before anybody can listen, and that ends the process.
    signal.throwIfAborted()
    for await (const chunk of this.#handle.createReadStream({ signal, autoClose: false })) {
      this.bytesRead += chunk.length
      yield chunk
    }
  }

  async close (): Promise<void> {
    await this.#handle.close()
  }
}
