import { safeParse } from 'fast-content-type-parse'
import { NotAcceptableError } from '../lib/errors.js'

/** The media types that a command route can answer with. */
export type AnswerType = 'text/event-stream' | 'application/x-ndjson' | 'application/json'

const streamingFirst: readonly AnswerType[] = ['text/event-stream', 'application/x-ndjson', 'application/json']
const jsonFirst: readonly AnswerType[] = ['application/json', 'text/event-stream', 'application/x-ndjson']

interface MediaRange {
  readonly type: string
  readonly quality: number
}

/**
 * Chooses the answer's media type by an `Accept` header (RFC 9110 §12.5.1). Between equal qualities the order is ours: a
 * definition with progress streams, one without answers JSON.
 * @throws MEDIATOR_ERR_NOT_ACCEPTABLE
 */
export function chooseAnswer (accept: string | undefined, streams: boolean): AnswerType {
  const types = streams ? streamingFirst : jsonFirst
  // What EventSource and most clients send.
  if (types.includes(accept as AnswerType)) return accept as AnswerType
  // A list without an element says as little as no list.
  if (accept === undefined || accept === '*/*' || /^[ \t,]*$/.test(accept)) return types[0]!
  const ranges = accept.split(',').map(parseRange)
  let best: AnswerType | undefined
  let bestQuality = 0
  for (const type of types) {
    const quality = qualityOf(type, ranges)
    if (quality > bestQuality) {
      best = type
      bestQuality = quality
    }
  }
  if (best === undefined) throw new NotAcceptableError(types.join(', '))
  return best
}

function parseRange (text: string): MediaRange {
  const { type, parameters } = safeParse(text.trim())
  const quality = Number(parameters['q'] ?? 1)
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 }
}

// The most specific range that matches decides, whatever its quality: `text/event-stream;q=0, */*` refuses one type.
function qualityOf (type: AnswerType, ranges: readonly MediaRange[]): number {
  const family = `${type.slice(0, type.indexOf('/'))}/*`
  for (const pattern of [type, family, '*/*']) {
    const matching = ranges.filter(range => range.type === pattern)
    if (matching.length > 0) return Math.max(...matching.map(({ quality }) => quality))
  }
  return 0
}
