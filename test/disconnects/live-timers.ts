/** The timers of this process that were set by `setTimeout` and `setInterval` from now on and are still to fire, unref'ed ones too. */
export function watchTimers (): Set<NodeJS.Timeout> {
  const live = new Set<NodeJS.Timeout>()
  const { setTimeout: set, setInterval: repeat, clearTimeout: clear } = globalThis
  const once = (callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): NodeJS.Timeout => {
    const timer = set(() => {
      live.delete(timer)
      callback(...args)
    }, ms)
    live.add(timer)
    return timer
  }
  const often = (callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): NodeJS.Timeout => {
    const timer = repeat(callback, ms, ...args)
    live.add(timer)
    return timer
  }
  const forget = (timer: NodeJS.Timeout): void => {
    live.delete(timer)
    clear(timer)
  }
  Object.assign(globalThis, { setTimeout: once, setInterval: often, clearTimeout: forget, clearInterval: forget })
  return live
}
