import t from 'tap'
import { check } from './check.js'
import { openSchedule } from './schedule.js'

t.test('whatever callers, handlers and readers do, and in whatever order, what the guide promises holds', async t => {
  await check(t, 'event-schedules.test.ts', openSchedule, 10_000)
})
