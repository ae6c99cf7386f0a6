/** What a process has used so far. */
export interface Usage {
  /** User and system time, in microseconds. */
  readonly cpu: number
  /** Bytes of the heap and beside it. They only grow while nothing collects garbage. */
  readonly bytes: number
}

/**
 * Tells the gate where a server listens, and answers its questions. Started with `--expose-gc`, it collects garbage before it answers the
 * first one of a pair.
 */
export function serve (port: number): void {
  process.on('message', question => {
    if (question === 'before') globalThis.gc?.()
    process.send!(usage())
  })
  process.on('disconnect', () => process.exit())
  process.send!({ port })
}

function usage (): Usage {
  const { user, system } = process.cpuUsage()
  const { heapUsed, external } = process.memoryUsage()
  return { cpu: user + system, bytes: heapUsed + external }
}
