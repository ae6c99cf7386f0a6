import { rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A folder with a file that takes longer to process than any test, until it is told to end. */
export class EndlessFile {
  /** Its id. What is processed after it waits for its end. */
  static readonly fileId = 'endless.bin'
  readonly folder: string

  constructor (t: Test) {
    this.folder = t.testdir({ 'a.txt': 'one\n', 'b.txt': 'one\ntwo\n', 'c.txt': '' })
    writeFileSync(this.#path, '')
    // Takes no room on the disk.
    truncateSync(this.#path, 2 ** 37)
  }

  /** Whoever reads it meets its end. */
  end (): void {
    truncateSync(this.#path, 0)
  }

  remove (): void {
    rmSync(this.#path)
  }

  get #path (): string {
    return join(this.folder, EndlessFile.fileId)
  }
}
