import type { Product } from './contracts.js'

/** What one piece costs, in cents. */
export const catalogue: Readonly<Record<Product, number>> = {
  chair: 8_990,
  clock: 2_764,
  kettle: 7_733,
  lamp: 3_750,
  rug: 5_731,
  shelf: 6_420,
  table: 19_900
}
