import { setTimeout } from 'node:timers/promises'
import type { Handler } from '../../index.js'
import { catalogue } from './catalogue.js'
import { ItemsSold, OrderConfirmed, OrderPaid, OrderProcessed, ProcessOrders } from './contracts.js'
import type { Items } from './contracts.js'

// Stands in for the answer of a payment provider, which the app has none of.
const paymentMs = 100

/** Processes one order after the other. What follows from an order runs beside the next one, so that only the last one's is waited for. */
export const processOrders: Handler<typeof ProcessOrders> = async function * ({ orders }, { emit, signal }) {
  let sumCents = 0
  for (const { orderId, email, items } of orders) {
    const startedAt = performance.now()
    const totalCents = priceOf(items)
    await setTimeout(paymentMs, undefined, { signal })
    sumCents += totalCents
    // They start in this order. The slowest of them, the e-mail, is not the last: with three at once it waits for nobody.
    emit(OrderPaid, { orderId, totalCents })
    emit(ItemsSold, { orderId, items })
    emit(OrderConfirmed, { orderId, email, totalCents })
    emit(OrderProcessed, { orderId, totalCents, durationMs: performance.now() - startedAt })
    yield { orderId, status: 'processed', totalCents }
  }
  return { processed: orders.length, totalCents: sumCents }
}

function priceOf (items: Items): number {
  return items.reduce((sum, { product, quantity }) => sum + catalogue[product] * quantity, 0)
}
