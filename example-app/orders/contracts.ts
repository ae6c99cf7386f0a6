import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'
import { defineCommand, defineEvent } from '../../index.js'

const ProductSchema = Type.Union([
  Type.Literal('chair'), Type.Literal('clock'), Type.Literal('kettle'), Type.Literal('lamp'), Type.Literal('rug'), Type.Literal('shelf'),
  Type.Literal('table')
])
export type Product = Static<typeof ProductSchema>

// An id ends up in the subject of an e-mail and in paths of other systems: nothing in it may need quoting.
const OrderId = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9-]*$', maxLength: 64 })
const Email = Type.String({ format: 'email', maxLength: 254 })
const Cents = Type.Integer({ minimum: 0 })

const ItemsSchema = Type.Array(Type.Object({
  product: ProductSchema,
  quantity: Type.Integer({ minimum: 1, maximum: 1_000, default: 1 })
}, { additionalProperties: false }), { minItems: 1, maxItems: 20 })
export type Items = Static<typeof ItemsSchema>

/** One progress an order, and four events: see process-orders.ts. */
export const ProcessOrders = defineCommand({
  name: 'process-orders',
  input: Type.Object({
    orders: Type.Array(Type.Object({ orderId: OrderId, email: Email, items: ItemsSchema }, { additionalProperties: false }), { minItems: 1, maxItems: 1_000 })
  }, { additionalProperties: false }),
  progress: Type.Object({ orderId: OrderId, status: Type.Literal('processed'), totalCents: Cents }),
  result: Type.Object({ processed: Type.Integer({ minimum: 1 }), totalCents: Cents })
})

// Four facts about each order, and one handler for each of them: analytics.ts, inventory.ts, email.ts, audit.ts.

export const OrderPaid = defineEvent({
  name: 'order.paid',
  payload: Type.Object({ orderId: OrderId, totalCents: Cents })
})

export const ItemsSold = defineEvent({
  name: 'items.sold',
  payload: Type.Object({ orderId: OrderId, items: ItemsSchema })
})

export const OrderConfirmed = defineEvent({
  name: 'order.confirmed',
  payload: Type.Object({ orderId: OrderId, email: Email, totalCents: Cents })
})

export const OrderProcessed = defineEvent({
  name: 'order.processed',
  payload: Type.Object({ orderId: OrderId, totalCents: Cents, durationMs: Type.Number() })
})
