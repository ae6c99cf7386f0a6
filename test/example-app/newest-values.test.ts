import t from 'tap'
import { NewestValues } from '../../example-app/newest-values.js'

t.test('keeps the newest value of each key for a reader who is slower than the source', async t => {
  const values = new NewestValues<string, string>({ signal: new AbortController().signal })
  const iterator = values[Symbol.asyncIterator]()
  const first = iterator.next()
  values.push('a', 'a1')
  t.same(await first, { value: 'a1', done: false })
  for (let index = 0; index < 1_000; index++) {
    values.push('a', `a${index}`)
    values.push('b', `b${index}`)
  }
  values.end()
  t.same(await iterator.next(), { value: 'a999', done: false })
  values.push('b', 'newer')
  t.same(await iterator.next(), { value: 'newer', done: false })
  t.match(await iterator.next(), { done: true })
})

t.test('pauses between readings, and its end or an abort cuts the pause', async t => {
  for (const cut of ['end', 'abort'] as const) {
    const controller = new AbortController()
    const values = new NewestValues<string, number>({ signal: controller.signal, pauseMs: 3_600_000 })
    const iterator = values[Symbol.asyncIterator]()
    values.push('a', 1)
    t.same(await iterator.next(), { value: 1, done: false })
    const second = iterator.next()
    values.push('a', 2)
    values.push('a', 3)
    await new Promise(resolve => setImmediate(resolve))
    if (cut === 'end') {
      values.end()
      t.same(await second, { value: 3, done: false })
      t.match(await iterator.next(), { done: true })
    } else {
      controller.abort(new Error('left'))
      await t.rejects(second, { message: 'left' })
    }
  }
})

t.test('wakes a reader who waits when his stream is aborted', async t => {
  const controller = new AbortController()
  const waiting = new NewestValues({ signal: controller.signal })[Symbol.asyncIterator]().next()
  controller.abort(new Error('left'))
  await t.rejects(waiting, { message: 'left' })
})
