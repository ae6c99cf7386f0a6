import t from 'tap'
import type { CommandDefinition } from '../../lib/definition.js'
import type { MediatorStream } from '../../lib/mediator-stream.js'
import { OpenCalls } from '../../lib/open-calls.js'
import { deferred } from '../support/app.js'

// What the registry reads of a stream.
function streamOf (owner?: string): MediatorStream<CommandDefinition> {
  return { owner } as MediatorStream<CommandDefinition>
}

function create ({ maxStreams = 100, maxStreamsPerOwner = 100 } = {}): OpenCalls {
  return new OpenCalls({ maxStreams, maxStreamsPerOwner })
}

t.test('takes maxStreams streams, refuses the next one, and takes another when one has left', async t => {
  const open = create({ maxStreams: 3 })
  const streams = [streamOf(), streamOf('ada'), streamOf('grace')] as const
  for (const stream of streams) open.addStream(stream)
  t.throws(() => open.addStream(streamOf()), { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS', statusCode: 503 })
  t.strictSame([open.streams.size, open.owners], [3, 2])
  open.deleteStream(streams[1])
  open.addStream(streamOf())
  t.throws(() => open.addStream(streamOf()), { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS' })
})

t.test('takes maxStreamsPerOwner of each owner, and any number of nobody', async t => {
  const open = create({ maxStreamsPerOwner: 2 })
  const own = [streamOf('ada'), streamOf('ada')] as const
  for (const stream of own) open.addStream(stream)
  t.throws(() => open.addStream(streamOf('ada')), { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER', statusCode: 429, message: /You have 2 streams open/ })
  open.addStream(streamOf('grace'))
  for (let each = 0; each < 5; each++) open.addStream(streamOf())
  open.deleteStream(own[0])
  open.addStream(streamOf('ada'))
  t.throws(() => open.addStream(streamOf('ada')), { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER' })
})

t.test('counts nothing of a stream that it refuses, whichever limit that is', async t => {
  const open = create({ maxStreams: 2, maxStreamsPerOwner: 1 })
  const ada = streamOf('ada')
  open.addStream(ada)
  t.throws(() => open.addStream(streamOf('ada')))
  t.strictSame([open.streams.size, open.owners], [1, 1])
  const other = streamOf()
  open.addStream(other)
  t.throws(() => open.addStream(streamOf('grace')), { code: 'MEDIATOR_ERR_TOO_MANY_STREAMS' })
  t.strictSame([open.streams.size, open.owners], [2, 1])
  for (const stream of [ada, other]) open.deleteStream(stream)
  t.strictSame([open.streams.size, open.owners], [0, 0])
})

t.test('remembers no owner who has no stream, whatever the name', async t => {
  const open = create({ maxStreams: 100_000 })
  const names = ['', '__proto__', 'constructor', ...Array.from({ length: 10_000 }, (_, index) => `owner ${index}`)]
  const streams = names.flatMap(name => [streamOf(name), streamOf(name)])
  for (const stream of streams) open.addStream(stream)
  t.equal(open.owners, names.length)
  for (const stream of streams) open.deleteStream(stream)
  t.equal(open.owners, 0)
})

t.test('has settled when no stream is open and nothing that it tracks', async t => {
  const open = create()
  await open.settled()
  const stream = streamOf('ada')
  const work = deferred<number>()
  const failing = deferred<number>()
  open.addStream(stream)
  const tracked = [open.track(work.promise), open.track(failing.promise)] as const
  let settled = false
  const settling = open.settled().then(() => { settled = true })
  open.deleteStream(stream)
  work.resolve(5)
  t.equal(await tracked[0], 5)
  t.equal(settled, false)
  failing.reject(new Error('disposal'))
  await t.rejects(tracked[1], { message: 'disposal' })
  await settling
  t.equal(settled, true)
})
