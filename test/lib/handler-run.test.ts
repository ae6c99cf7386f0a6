import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { HandlerContext } from '../../lib/handler.js'
import { HandlerRun } from '../../lib/handler-run.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => { unhandled.push(error) })

t.test('a hand-written iterator whose last step cannot be read has failed to end', async t => {
  const told: unknown[] = []
  const run = new HandlerRun('work', {
    onYield: value => told.push(value),
    onEnd: () => told.push('end'),
    onReturn: () => told.push('return'),
    onThrow: error => told.push((error as Error).message)
  })
  const steps = {
    next: async () => ({ done: false, value: 1 }),
    return: async () => ({ get done (): boolean { throw new Error('not to be read') }, value: undefined })
  }
  run.start(() => ({ [Symbol.asyncIterator]: () => steps }), 1, {} as HandlerContext)
  await sleep(0)
  t.equal(await run.stop(), true)
  t.strictSame(told, [1, 'end', 'not to be read'])
  t.equal(run.ended, true)
  t.strictSame(unhandled, [])
})
