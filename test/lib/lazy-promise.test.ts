import t from 'tap'
import { LazyPromise } from '../../lib/lazy-promise.js'

function lazy<T> (promise: Promise<T>): { promise: LazyPromise<T>, reads: () => number } {
  let reads = 0
  return { promise: new LazyPromise(promise, () => { reads++ }), reads: () => reads }
}

t.test('is not read by being made or passed around', async t => {
  const { promise, reads } = lazy(Promise.resolve(1))
  const [passed] = [promise]
  await Promise.resolve()
  t.equal(passed, promise)
  t.equal(reads(), 0)
  t.equal(Object.prototype.toString.call(promise), '[object LazyPromise]')
})

t.test('tells that it is read by await, then, catch and finally', async t => {
  const { promise, reads } = lazy(Promise.resolve('value'))
  t.equal(await promise, 'value')
  t.equal(reads(), 1)
  t.equal(await promise.then(value => `${value}!`), 'value!')
  t.equal(reads(), 2)
  t.equal(await promise.catch(() => 'not called'), 'value')
  t.equal(reads(), 3)
  let ran = false
  t.equal(await promise.finally(() => { ran = true }), 'value')
  t.equal(ran, true)
  t.equal(reads(), 4)
})

t.test('tells before it settles, so that work can start', async t => {
  let start!: (value: string) => void
  const promise = new LazyPromise(new Promise<string>(resolve => { start = resolve }), () => start('started by the reader'))
  t.equal(await promise, 'started by the reader')
})

t.test('rejects as the promise inside does', async t => {
  const error = new Error('inside')
  const { promise } = lazy(Promise.reject(error))
  await t.rejects(promise, error)
  t.equal(await promise.catch(reason => reason), error)
  t.equal(await promise.then(null, reason => reason), error)
  await t.rejects(promise.finally(), error)
})

t.test('combines as other promises do', async t => {
  t.strictSame(await Promise.all([lazy(Promise.resolve(1)).promise, lazy(Promise.resolve(2)).promise]), [1, 2])
})
