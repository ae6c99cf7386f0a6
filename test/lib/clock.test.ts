import t from 'tap'
import { systemClock } from '../../lib/clock.js'

t.test('calls back after a time, and holds no process open', async t => {
  const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timers()
  const startedAt = systemClock.now()
  const called = new Promise<void>(resolve => { systemClock.after(5, resolve) })
  t.equal(timers(), before)
  // Holds it open in the place of the other.
  const holder = setTimeout(() => {}, 10_000)
  await called
  clearTimeout(holder)
  t.ok(systemClock.now() - startedAt >= 4)
})

t.test('does not call back what was stopped', async t => {
  let called = false
  const stop = systemClock.after(1, () => { called = true })
  stop()
  await new Promise<void>(resolve => { setTimeout(resolve, 5) })
  t.equal(called, false)
})
