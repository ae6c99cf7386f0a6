import { once } from 'node:events'
import type { RunningApp } from './running-app.js'

/**
 * Holds each run of a command after so much of its progress, until its stream is aborted: however slow the machine is, it does not end before.
 * Returns what lets those that begin later go.
 */
export function hold ({ instance }: RunningApp, command: string, after: number): () => void {
  let isHeld = true
  instance.mediator.addBehavior(async function * ({ kind, definition, context }, next) {
    if (!isHeld || kind !== 'stream' || definition.name !== command) return yield * next()
    const { signal } = context
    let seen = 0
    for await (const progress of next()) {
      if (seen++ === after && !signal.aborted) await once(signal, 'abort')
      yield progress
    }
  })
  return () => { isHeld = false }
}
