/** How long work that never awaits may keep the event loop in one go, in milliseconds. */
export const maxTurnMs = 5

// How many steps of a turn go by between two readings of the clock.
const unreadSteps = 8

// Work of the whole process, first come, first served. Each stream is in it once at most, so that it is no longer than there are streams and readers.
let waiting: Array<() => void> = []
let isScheduled = false

// Of the turn of the event loop that runs; undefined until a work begins in it.
let turnEndsAt: number | undefined

/** Calls a function when all microtasks of this turn have run: those of `process.nextTick` alone may come before them. */
export function afterMicrotasks (work: () => void): void {
  queueMicrotask(() => process.nextTick(work))
}

/**
 * Calls a function in a later turn of the event loop. All that wait share `maxTurnMs` of it: those that come too late let timers, connections and
 * requests have their turn first, so that many handlers that never await hold these up no longer than one.
 */
export function inLaterTurn (work: () => void): void {
  waiting.push(work)
  schedule()
}

/** Says when a work has had its turn. Those that begin in one turn of the event loop, whatever has woken them, share its time. */
export class TurnClock {
  #endsAt = 0
  #steps = 0

  begin (): void {
    this.#endsAt = loopTurnEndsAt()
    this.#steps = 0
  }

  /** Asked after each step of the work. The clock is read after the first ones and then after as many at a time: it takes a tenth of a short step. */
  isOver (): boolean {
    const steps = ++this.#steps
    if (steps > unreadSteps && steps % unreadSteps > 0) return false
    return performance.now() >= this.#endsAt
  }
}

/** Calls a function at once, or in a later turn of the event loop where this one has taken too long already. */
export function inTurns (next: () => void): () => void {
  const turn = new TurnClock()
  turn.begin()
  return () => {
    if (!turn.isOver()) {
      next()
      return
    }
    inLaterTurn(() => {
      turn.begin()
      next()
    })
  }
}

/** When what runs in this turn of the event loop has to let others have theirs. */
function loopTurnEndsAt (): number {
  return turnEndsAt ?? beginLoopTurn()
}

function beginLoopTurn (): number {
  if (turnEndsAt === undefined) setImmediate(endLoopTurn)
  turnEndsAt = performance.now() + maxTurnMs
  return turnEndsAt
}

function endLoopTurn (): void {
  turnEndsAt = undefined
}

function schedule (): void {
  if (isScheduled || waiting.length === 0) return
  isScheduled = true
  setImmediate(runTurn)
}

function runTurn (): void {
  const works = waiting
  waiting = []
  // Of their own: whatever else has begun in this turn, those that wait get on.
  const endsAt = beginLoopTurn()
  const runFrom = (index: number): void => {
    if (index === works.length || performance.now() >= endsAt) {
      waiting = [...works.slice(index), ...waiting]
      isScheduled = false
      schedule()
      return
    }
    // What a work has started goes on in microtasks. Asked first, because a work that throws must not keep the others.
    afterMicrotasks(() => runFrom(index + 1))
    works[index]!()
  }
  runFrom(0)
}
