import { randomBytes } from 'node:crypto'
import { lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'

const randomBytesInName = 8
// Those that are in use here: after the restart of a container a process may find folders that name its own id.
const inUse = new Set<string>()

/**
 * A folder for files that do not outlive the process. Its name tells whose it is, so that the folder of a process which was killed can be
 * removed by one that comes after it.
 */
export class TempFolder {
  readonly path: string
  readonly #parent: string
  readonly #prefix: string
  #making: Promise<unknown> | undefined

  /** @param parent is the system's folder for temporary files where it is left out */
  constructor (name: string, parent = tmpdir()) {
    this.#parent = parent
    // An id says nothing on another machine, or in another container that has the same disk.
    this.#prefix = `${name}-${hostname().replaceAll(/[^\w.-]/g, '_')}-`
    this.path = join(parent, `${this.#prefix}${process.pid}-${randomBytes(randomBytesInName).toString('hex')}`)
  }

  /** Makes it where it is not there yet. */
  async make (): Promise<void> {
    inUse.add(this.path)
    // Not recursive: it fails where the name is taken, by a link too.
    this.#making ??= mkdir(this.path, { mode: 0o700 }).catch(error => {
      // The next one tries again.
      this.#making = undefined
      throw error
    })
    await this.#making
  }

  /** Removes it, with all that is in it. */
  async close (): Promise<void> {
    // Who wanted one that could not be made was told.
    await this.#making?.catch(() => {})
    await rm(this.path, { recursive: true, force: true })
    inUse.delete(this.path)
  }

  /** Removes those of the same name whose processes have ended. What cannot be removed stays: that must not keep the app from starting. */
  async removeAbandoned (): Promise<void> {
    const names = await readdir(this.#parent).catch(() => [])
    await Promise.allSettled(names.filter(name => this.#isAbandoned(name)).map(async name => {
      const path = join(this.#parent, name)
      const stats = await lstat(path)
      // Neither a link nor what another user has put there.
      if (stats.isDirectory() && stats.uid === (process.getuid?.() ?? stats.uid)) await rm(path, { recursive: true, force: true })
    }))
  }

  #isAbandoned (name: string): boolean {
    if (!name.startsWith(this.#prefix) || inUse.has(join(this.#parent, name))) return false
    const [, pid] = /^(\d+)-[0-9a-f]{16}$/.exec(name.slice(this.#prefix.length)) ?? []
    if (pid === undefined) return false
    return Number(pid) === process.pid || !isAlive(Number(pid))
  }
}

function isAlive (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another error means that it is there, and that we may not ask.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
