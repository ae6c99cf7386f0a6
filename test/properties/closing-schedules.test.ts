import t from 'tap'
import { check } from './check.js'
import { closingSchedule } from './schedule.js'

// Each needs a mediator of its own.
t.test('a mediator that is closed in the middle settles everything and counts what it drops', async t => {
  await check(t, 'closing-schedules.test.ts', closingSchedule, 2_000)
})
