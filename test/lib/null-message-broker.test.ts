import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineEvent } from '../../lib/event.js'
import { NullMessageBroker } from '../../lib/null-message-broker.js'
import { createMediator } from './support.js'

const OrderShipped = defineEvent({ name: 'order.shipped', topic: 'orders', payload: Type.Object({ orderId: Type.String() }) })

t.test('acknowledges what nobody listens to, and lets the mediator get ready', async t => {
  const { mediator } = createMediator(t, { messageBroker: new NullMessageBroker() })
  const handled: unknown[] = []
  mediator.addEventHandler(OrderShipped, ({ payload }) => { handled.push(payload) })
  await mediator.ready()
  await mediator.publish(OrderShipped, { orderId: 'a' })
  t.strictSame(handled, [{ orderId: 'a' }], 'its handlers in this process run all the same')
})

t.test('still refuses a payload that does not match its schema', async t => {
  const { mediator } = createMediator(t, { messageBroker: new NullMessageBroker() })
  await t.rejects(mediator.publish(OrderShipped, {} as { orderId: string }), { code: 'MEDIATOR_ERR_INVALID_PAYLOAD' })
})
