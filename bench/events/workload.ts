import { Type } from '@sinclair/typebox'
import { defineCommand, defineEvent } from '../../index.js'
import type { Handler } from '../../index.js'

/** How many events each yield has emitted: one of each definition. */
export const eventsPerYield = 4

export const Work = defineCommand({
  name: 'work',
  input: Type.Object({ yields: Type.Integer() }),
  progress: Type.Object({ n: Type.Integer() })
})

export const workEvents = Array.from({ length: eventsPerYield }, (_, index) => defineEvent({
  name: `work.done.${index}`,
  payload: Type.Object({ n: Type.Integer() })
}))

/** Works on nothing: all that it costs are its events and its progress. */
export const work: Handler<typeof Work> = async function * ({ yields }, { emit }) {
  for (let n = 0; n < yields; n++) {
    for (const event of workEvents) emit(event, { n })
    yield { n }
  }
}
