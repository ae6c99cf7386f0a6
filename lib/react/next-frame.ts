// For pages in the background, which get no frames, and where there is no screen.
const backgroundMs = 100

interface Screen {
  requestAnimationFrame? (callback: () => void): number
  cancelAnimationFrame? (frame: number): void
}

/** Calls a function before the screen is drawn next, or a tenth of a second later where nothing is drawn. Returns what takes it back. */
export function beforeNextFrame (work: () => void): () => void {
  const screen = globalThis as Screen
  const timer = setTimeout(() => run(), backgroundMs)
  const frame = screen.requestAnimationFrame?.(() => run())
  const stop = (): void => {
    clearTimeout(timer)
    if (frame !== undefined) screen.cancelAnimationFrame?.(frame)
  }
  const run = (): void => {
    stop()
    work()
  }
  return stop
}
