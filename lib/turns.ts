/** How long a handler that never awaits may keep the event loop in one go, in milliseconds. */
export const maxTurnMs = 5

/** Calls a function at once, or after others had their turn of the event loop where this one has taken too long already. */
export function inTurns (next: () => void): () => void {
  let turnStartedAt = performance.now()
  return () => {
    if (performance.now() - turnStartedAt < maxTurnMs) {
      next()
      return
    }
    setImmediate(() => {
      turnStartedAt = performance.now()
      next()
    })
  }
}
