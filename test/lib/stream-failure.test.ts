import t from 'tap'
import type { EndReason } from '../../index.js'
import { failureOf } from '../../lib/stream-failure.js'
import { Count } from '../support/app.js'
import { createMediator } from './support.js'

for (const [reason, code] of [
  ['cancelled', 'MEDIATOR_ERR_CANCELLED'], ['deadline', 'MEDIATOR_ERR_DEADLINE'], ['shutdown', 'MEDIATOR_ERR_SHUTTING_DOWN'],
  ['abandoned', 'MEDIATOR_ERR_ABANDONED'], ['lost', 'MEDIATOR_ERR_CANCELLED']
] as const) {
  t.test(`tells readers at once of an end that somebody has asked for: ${reason}`, async t => {
    const { mediator } = createMediator(t)
    mediator.addHandler(Count, async function * () { return { total: 0 } })
    const stream = mediator.stream(Count, { to: 1, label: '' })
    stream.end(reason as EndReason)
    t.match(failureOf(stream, stream.abortError), { error: { code }, problem: { code, instance: stream.streamId }, reason, level: 'info', afterEvents: false })
  })
}

t.test('tells of any other failure when the events have settled, and logs those of the server as errors', async t => {
  const { mediator } = createMediator(t)
  mediator.addHandler(Count, async function * () { return { total: 0 } })
  const stream = mediator.stream(Count, { to: 1, label: '' })
  const error = new Error('x')
  t.strictSame(failureOf(stream, error), {
    error,
    problem: { type: 'about:blank', title: 'Internal Server Error', status: 500, instance: stream.streamId, code: 'INTERNAL_SERVER_ERROR', retryable: false },
    reason: 'failed',
    level: 'error',
    afterEvents: true
  })
  t.match(failureOf(stream, Object.assign(new Error('x'), { statusCode: 404 })), { level: 'info', reason: 'failed', afterEvents: true })
  stream.end('failed', error)
  t.match(failureOf(stream, stream.abortError), { error, reason: 'failed', level: 'error', afterEvents: true }, 'a value that could not be written')
})
