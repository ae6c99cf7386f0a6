import { serializersOf, isEventName } from './definition.js'
import type { CommandDefinition } from './definition.js'
import { InvalidOptionsError } from './errors.js'

/**
 * How a server-sent event carries its type: as its `event` field, or inside its data as `{ "type": … }` for clients that
 * only listen to `message`.
 */
export type Framing = 'event' | 'envelope'

/** Other names for the events of a stream. */
export interface EventNames {
  readonly start?: string
  readonly progress?: string
  readonly complete?: string
  readonly failed?: string
}

/** What a stream's frames look like, checked once for a route. */
export interface FrameStyle {
  readonly framing: Framing
  readonly names: Required<EventNames>
}

const defaultNames = { start: 'start', progress: 'progress', complete: 'complete', failed: 'failed' } as const

/** The style of a route that says nothing. */
export const defaultStyle: FrameStyle = { framing: 'event', names: defaultNames }

/** Completes and checks how a definition's frames are named. @throws MEDIATOR_ERR_INVALID_OPTIONS */
export function frameStyle (definition: CommandDefinition, framing: Framing = 'event', given: EventNames = {}): FrameStyle {
  const subject = `"${definition.name}" route`
  if (framing !== 'event' && framing !== 'envelope') throw new InvalidOptionsError(subject, "framing must be 'event' or 'envelope'")
  const unknown = Object.keys(given).find(key => !Object.hasOwn(defaultNames, key))
  if (unknown !== undefined) throw new InvalidOptionsError(subject, `eventNames has no ${unknown}`)
  const names = { ...defaultNames, ...Object.fromEntries(Object.entries(given).filter(([, name]) => name !== undefined)) }
  const { progressNames } = serializersOf(definition)
  if (progressNames.length > 0 && given.progress !== undefined) {
    throw new InvalidOptionsError(subject, 'eventNames.progress has no effect, because the definition names its progress events itself')
  }
  const all = [names.start, names.complete, names.failed, ...(progressNames.length > 0 ? progressNames : [names.progress])]
  const malformed = all.find(name => !isEventName(name))
  if (malformed !== undefined) throw new InvalidOptionsError(subject, `eventNames holds "${malformed}", which is no event name`)
  if (new Set(all).size < all.length) throw new InvalidOptionsError(subject, 'eventNames gives two events one name')
  return { framing, names }
}
