import { Type } from '@sinclair/typebox'
import { defineQuery } from '../../index.js'

/** Tells so many events, `perSecond` of them, or as many as the reader takes where that is 0. */
export const Scan = defineQuery({
  name: 'scan',
  input: Type.Object({ events: Type.Integer(), perSecond: Type.Integer() }),
  progress: Type.Object({ n: Type.Integer(), path: Type.String(), status: Type.String(), sizeBytes: Type.Integer() }),
  result: Type.Object({ events: Type.Integer() })
})
