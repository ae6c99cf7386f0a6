import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { answer } from './answer.js'
import { release } from './release.js'

/** What the bench asks of a server. */
export type ServerQuestion = 'port' | 'cpu' | 'requests' | 'release' | 'watch loop' | 'longest block'

/** How long the event loop was blocked while it was watched. */
export interface Block {
  readonly longestMs: number
  readonly p999Ms: number
}

const nanosecondsPerMs = 1e6

/** Listens, and answers the questions of the process that runs the bench. */
export async function serve (server: Server): Promise<void> {
  let requests = 0
  server.on('request', () => { requests++ })
  if (!server.listening) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  }
  const loop = monitorEventLoopDelay({ resolution: 1 })
  answer((question: ServerQuestion) => {
    if (question === 'port') return (server.address() as AddressInfo).port
    if (question === 'requests') return requests
    if (question === 'release') {
      release()
      return requests
    }
    if (question === 'watch loop') {
      loop.reset()
      return loop.enable()
    }
    if (question === 'longest block') {
      loop.disable()
      const block: Block = { longestMs: loop.max / nanosecondsPerMs, p999Ms: loop.percentile(99.9) / nanosecondsPerMs }
      return block
    }
    // Microseconds of user and system time.
    const { user, system } = process.cpuUsage()
    return user + system
  })
}
