import { setTimeout as sleep } from 'node:timers/promises'
import { ConsecutiveBreaker, ExponentialBackoff, circuitBreaker, handleAll, retry, wrap } from 'cockatiel'
import t from 'tap'
import { beginUnder } from '../../lib/breaker.js'
import type { Breaker, BreakerReport } from '../../lib/breaker.js'
import { rejection } from './support.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => { unhandled.push(error) })

const { signal } = new AbortController()
const onAbort = (): void => {}

t.test('without a breaker nothing is reported, and no signal is made', async t => {
  const context = { get signal (): AbortSignal { throw new Error('asked for') } }
  const report = await beginUnder(undefined, context, onAbort)
  t.doesNotThrow(() => {
    report.succeeded()
    report.failed(new Error('broken'))
  })
})

t.test('only the first report counts', async t => {
  const outcomes: unknown[] = []
  const breaker: Breaker = {
    async execute (run) {
      const result = run()
      result.then(() => outcomes.push('succeeded'), error => outcomes.push(error))
      return await result
    }
  }
  const first = await beginUnder(breaker, { signal }, onAbort)
  first.succeeded()
  first.failed('late')
  const second = await beginUnder(breaker, { signal }, onAbort)
  second.failed('broken')
  second.succeeded()
  await sleep(0)
  t.strictSame(outcomes, ['succeeded', 'broken'])
})

t.test('work that a breaker did not run is refused', async t => {
  const breaker: Breaker = { execute: async () => undefined as never }
  t.match(await rejection(beginUnder(breaker, { signal }, onAbort)), { message: 'the breaker did not run its work' })
  const throwing: Breaker = { execute () { throw new Error('broken breaker') } }
  t.match(await rejection(beginUnder(throwing, { signal }, onAbort)), { message: 'broken breaker' })
})

t.test('a policy that retries as well fails instead of waiting for ever', async t => {
  const policy = wrap(
    retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff({ initialDelay: 1 }) }),
    circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(10) })
  )
  let ended!: Promise<unknown>
  const watched: Breaker = {
    execute (run) {
      const result = policy.execute(run)
      ended = result
      return result
    }
  }
  const report = await beginUnder(watched, { signal }, onAbort)
  report.failed(new Error('broken'))
  t.match(await rejection(ended), { message: /cannot be run again by a policy/ })
})

t.test('a breaker that gave the work up does not end the process by its failure', async t => {
  const breaker: Breaker = {
    execute: async run => {
      void run()
      throw new Error('took too long')
    }
  }
  const report = await beginUnder(breaker, { signal }, onAbort)
  report.failed(new Error('broken'))
  await sleep(0)
  t.strictSame(unhandled, [])
})

t.test('an abort', async t => {
  t.test('before the begin asks no breaker', async t => {
    const breaker: Breaker = { execute: async () => { throw new Error('asked') } }
    t.match(await rejection(beginUnder(breaker, { signal: AbortSignal.abort(new Error('left')) }, onAbort)), { message: 'left' })
  })

  t.test('while the breaker lets the work wait ends the wait, and the work is none when its turn comes', async t => {
    let begin!: () => PromiseLike<unknown>
    const breaker: Breaker = { execute: run => new Promise(() => { begin = run }) }
    const controller = new AbortController()
    const begun = rejection(beginUnder(breaker, controller, onAbort))
    controller.abort(new Error('left'))
    t.match(await begun, { message: 'left' })
    t.equal(await begin(), undefined)
  })

  t.test('while the work goes on is told once, and not after its end', async t => {
    const breaker: Breaker = { execute: async run => await run() }
    const told: unknown[] = []
    const tell = (reason: unknown, report: BreakerReport): void => {
      told.push(reason)
      report.succeeded()
    }
    const running = new AbortController()
    await beginUnder(breaker, running, tell)
    running.abort('left')
    const ended = new AbortController()
    const report = await beginUnder(breaker, ended, tell)
    report.failed(new Error('broken'))
    ended.abort('later')
    t.strictSame(told, ['left'])
  })
})
