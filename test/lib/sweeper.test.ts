import t from 'tap'
import { Sweeper } from '../../lib/sweeper.js'
import { ManualClock } from '../support/manual-clock.js'

function setUp (lifetimeMs: number): { clock: ManualClock, sweeper: Sweeper<string>, expired: string[] } {
  const clock = new ManualClock()
  const expired: string[] = []
  return { clock, sweeper: new Sweeper(lifetimeMs, (item: string) => { expired.push(item) }, clock), expired }
}

t.test('expires each item when its time is over, and not before', async t => {
  const { clock, sweeper, expired } = setUp(600)
  sweeper.add('a')
  clock.advance(100)
  sweeper.add('b')
  clock.advance(499)
  t.strictSame(expired, [])
  clock.advance(1)
  t.strictSame(expired, ['a'])
  clock.advance(99)
  t.strictSame(expired, ['a'])
  clock.advance(1)
  t.strictSame(expired, ['a', 'b'])
})

t.test('has a timer only while there is an item', async t => {
  const { clock, sweeper, expired } = setUp(600)
  t.equal(clock.timers, 0)
  sweeper.add('a')
  sweeper.add('b')
  t.equal(clock.timers, 1)
  sweeper.delete('a')
  t.equal(clock.timers, 1)
  sweeper.delete('b')
  sweeper.delete('never there')
  t.equal(clock.timers, 0)
  sweeper.add('c')
  clock.advance(600)
  t.equal(clock.timers, 0)
  sweeper.add('d')
  sweeper.clear()
  t.equal(clock.timers, 0)
  clock.advance(6_000)
  t.strictSame(expired, ['c'])
})

t.test('expires what is left after the first was deleted', async t => {
  const { clock, sweeper, expired } = setUp(600)
  sweeper.add('a')
  clock.advance(300)
  sweeper.add('b')
  sweeper.delete('a')
  clock.advance(599)
  t.strictSame(expired, [])
  clock.advance(1)
  t.strictSame(expired, ['b'])
})

t.test('fires some sixty times in the life of an item, however many there are', async t => {
  const { clock, sweeper, expired } = setUp(6_000)
  let fired = 0
  for (let n = 0; n < 12_000; n++) {
    sweeper.add(String(n))
    fired += clock.advance(1)
  }
  fired += clock.advance(6_100)
  t.equal(expired.length, 12_000)
  t.ok(fired <= 130, `${fired} times in two lives`)
})

t.test('lets what is expired be added again', async t => {
  const clock = new ManualClock()
  let times = 0
  const sweeper: Sweeper<string> = new Sweeper(100, item => { if (++times < 3) sweeper.add(item) }, clock)
  sweeper.add('a')
  sweeper.add('a')
  clock.advance(100)
  t.equal(clock.timers, 1)
  clock.advance(1_000)
  t.equal(times, 3)
  t.equal(clock.timers, 0)
})
