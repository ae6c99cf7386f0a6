import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineEvent } from '../../../lib/event.js'
import { RecordingBroker } from '../../../lib/testing/index.js'
import { createMediator, rejection } from '../support.js'

const Told = defineEvent({ name: 'told', topic: 'tales', payload: Type.Object({ at: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) }) })
const Sung = defineEvent({ name: 'sung', topic: 'tales', payload: Type.String() })

t.test('keeps what it has acknowledged, and gives the payloads of one event', async t => {
  const messageBroker = new RecordingBroker()
  const { mediator } = createMediator(t, { messageBroker })
  await mediator.publish(Told, { at: new Date(0) })
  await mediator.publish(Sung, 'la')
  await mediator.publish(Sung, 'li')
  t.match(messageBroker.envelopes, [{ type: 'told', topic: 'tales', id: String, specversion: '1.0' }, { type: 'sung' }, { type: 'sung', data: 'li' }])
  t.strictSame(messageBroker.payloadsOf(Sung), ['la', 'li'])
  t.strictSame(messageBroker.payloadsOf(Told) as unknown, [{ at: '1970-01-01T00:00:00.000Z' }])
})

t.test('refuses as many envelopes as it was told to', async t => {
  const messageBroker = new RecordingBroker()
  const { mediator } = createMediator(t, { messageBroker })
  const error = new Error('no disk')
  messageBroker.failNext(error)
  messageBroker.failNext()
  t.equal((await rejection(mediator.publish(Sung, 'la'))).cause, error)
  t.match((await rejection(mediator.publish(Sung, 'la'))).cause, { message: 'the message broker is down' })
  await mediator.publish(Sung, 'la')
  t.strictSame(messageBroker.payloadsOf(Sung), ['la'])
})

t.test('shows a retry by the policy of the broker', async t => {
  const messageBroker = new RecordingBroker()
  const { mediator, logs } = createMediator(t, { messageBroker, brokerPolicy: { retries: 1 } })
  messageBroker.failNext()
  await mediator.publish(Sung, 'la')
  t.equal(messageBroker.envelopes.length, 1)
  t.match(logs.filter(({ msg }) => msg.includes('run again')), [{ attempt: 1 }])
})
