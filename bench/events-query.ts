import { Type } from '@sinclair/typebox'
import { defineQuery } from '../index.js'

/** The same events as every other server's, as a query with schemas. */
export const Events = defineQuery({
  name: 'events',
  input: Type.Object({
    count: Type.Integer(),
    textBytes: Type.Integer({ default: 58 }),
    everyMs: Type.Integer({ default: 0 }),
    busyUs: Type.Integer({ default: 0 }),
    held: Type.Boolean({ default: false })
  }),
  progress: Type.Object({ n: Type.Integer(), status: Type.String(), text: Type.String() })
})
