import { readdirSync, readlinkSync } from 'node:fs'

/** The descriptors of this process, each with what it leads to. */
export function openDescriptors (): Array<{ readonly fd: number, readonly path: string }> {
  return readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      return [{ fd: Number(fd), path: readlinkSync(`/proc/self/fd/${fd}`) }]
    } catch {
      // That of the folder itself, by now.
      return []
    }
  })
}

export function openFiles (): string[] {
  return openDescriptors().map(({ path }) => path)
}
