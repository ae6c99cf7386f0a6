import { setTimeout } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import { catalogue } from './catalogue.js'
import { ItemsSold } from './contracts.js'

interface Stock {
  available: number
  reserved: number
  /** Sold, and not there: to be bought in. */
  missing: number
}

const initialStock = 1_000

// What a warehouse takes to answer.
const warehouseMs = 30

/** Reserves what was sold, and tells the stock at `GET /orders/inventory`. */
export const orderInventory: FastifyPluginAsync = async app => {
  const inventory = new Map<string, Stock>(Object.keys(catalogue).map(product => [product, { available: initialStock, reserved: 0, missing: 0 }]))

  app.mediator.addEventHandler(ItemsSold, async ({ payload: { orderId, items } }, { signal }) => {
    await app.journal.record('inventory', orderId, async () => {
      await setTimeout(warehouseMs, undefined, { signal })
      for (const { product, quantity } of items) {
        // Looked up and changed in one turn: handlers of other orders run beside this one.
        const stock = inventory.get(product)!
        const taken = Math.min(stock.available, quantity)
        stock.available -= taken
        stock.reserved += taken
        stock.missing += quantity - taken
      }
    })
  })

  app.get('/orders/inventory', async () => Object.fromEntries(inventory))
}
