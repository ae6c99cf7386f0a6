import t from 'tap'
import { beforeNextFrame } from '../../lib/react/next-frame.js'
import { deferred } from '../support/app.js'

const screen = globalThis as { requestAnimationFrame?: (callback: () => void) => number, cancelAnimationFrame?: (frame: number) => void }
t.afterEach(() => {
  delete screen.requestAnimationFrame
  delete screen.cancelAnimationFrame
})

t.test('calls before the next frame, and once', async t => {
  const frames: Array<() => void> = []
  const cancelled: number[] = []
  screen.requestAnimationFrame = callback => frames.push(callback)
  screen.cancelAnimationFrame = frame => { cancelled.push(frame) }
  let calls = 0
  beforeNextFrame(() => { calls++ })
  t.equal(calls, 0)
  frames[0]!()
  t.equal(calls, 1)
  await new Promise(resolve => setTimeout(resolve, 150))
  t.equal(calls, 1, 'its timer has been taken back')
  const takeBack = beforeNextFrame(() => { calls++ })
  takeBack()
  t.ok(cancelled.includes(2))
})

t.test('calls a tenth of a second later where no frame comes, as in a tab in the background', async t => {
  screen.requestAnimationFrame = () => 7
  const cancelled = deferred<number>()
  screen.cancelAnimationFrame = cancelled.resolve
  await new Promise<void>(resolve => beforeNextFrame(resolve))
  t.equal(await cancelled.promise, 7)
})

t.test('and where there is no screen; what is taken back is not called', async t => {
  let calls = 0
  const takeBack = beforeNextFrame(() => { calls++ })
  takeBack()
  await new Promise<void>(resolve => beforeNextFrame(resolve))
  t.equal(calls, 0)
})
