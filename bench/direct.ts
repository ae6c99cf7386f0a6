import { StreamingMediator, frames } from '../index.js'
import { answer } from './answer.js'
import { timed } from './events/cpu-time.js'
import { Events } from './events-query.js'
import { events } from './source.js'

const mediator = new StreamingMediator()
mediator.addHandler(Events, input => events(input))

const sources: Readonly<Record<string, (count: number) => AsyncIterable<unknown>>> = {
  generator: count => events({ count }),
  stream: count => mediator.stream(Events, inputFor(count)),
  frames: count => frames(mediator.stream(Events, inputFor(count)), { data: 'text' })
}
const source = sources[process.argv[2]!]!

answer((count: number) => timed(async () => {
  let read = 0
  for await (const value of source(count)) if (value !== undefined) read++
  if (read < count) throw new Error(`${read} of ${count} values came`)
}))

function inputFor (count: number) {
  return { count, textBytes: 58, everyMs: 0, busyUs: 0, held: false }
}
