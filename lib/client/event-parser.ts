import { createParser } from 'eventsource-parser'
import type { EventSourceMessage } from 'eventsource-parser'
import { tooLarge } from './exchange.js'

/**
 * Makes a parser of server-sent events: it takes text that is cut anywhere, and returns the events that end in it. It throws
 * CLIENT_ERR_TOO_LARGE where a line or an event has more characters than the given number. What follows the last empty line is no event.
 * Each has its own id: that of an event before it does not stand in for it.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function createEventParser (maxLength: number, onRetry: (ms: number) => void): (text: string) => readonly EventSourceMessage[] {
  let events: EventSourceMessage[]
  // What is left out where the next text begins with it: first a byte order mark.
  let skipped = '\ufeff'
  const { feed } = createParser({
    maxBufferSize: maxLength,
    onEvent: event => events.push(event),
    onRetry,
    // The other errors are of fields that are to be ignored.
    onError: ({ type }) => { if (type[0] === 'm') throw tooLarge() }
  })
  // So that it does not take U+00EF U+00BB U+00BF for a byte order mark.
  feed('')
  return text => {
    events = []
    if (text) {
      // The parser waits for what follows a CR, with an event that has ended: an LF, which is left out where it comes.
      if (text[0] === skipped) text = text.slice(1)
      skipped = text.endsWith('\r') ? '\n' : ''
      feed(text + skipped)
    }
    return events
  }
}
