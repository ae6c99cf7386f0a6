import t from 'tap'
import { readFrames } from '../../../lib/testing/index.js'
import { Count, Watch, createApp, listen } from '../../support/app.js'
import { commandRoute } from '../../../index.js'

const id = 'Zk3vQx0bT2mYw9LhR4sD1A'
const start = `event: start\nid: ${id}.1\ndata: {}\n\n`
const line = `{"event":"start","id":"${id}.1","data":{}}\n`

t.test('reads responses of inject in each framing', async t => {
  const { app } = await createApp(t)
  app.mediator.addHandler(Count, async function * ({ to }) {
    for (let n = 1; n <= to; n++) yield { n, text: 'a line\u2028and\nanother' }
    return { total: to }
  })
  app.mediator.addHandler(Watch, async function * () { throw Object.assign(new Error('no'), { statusCode: 404 }) })
  app.route(commandRoute(Count, { url: '/count' }))
  app.route(commandRoute(Count, { url: '/enveloped', framing: 'envelope' }))
  app.route(commandRoute(Watch, { url: '/watch' }))
  const post = { method: 'POST', url: '/count', payload: { to: 1 } } as const
  const progress = { n: 1, text: 'a line\u2028and\nanother' }

  const frames = readFrames(await app.inject(post))
  const streamId: string = frames[0]!.data.streamId
  t.strictSame(frames.slice(1), [
    { event: 'progress', id: `${streamId}.2`, data: progress },
    { event: 'complete', id: `${streamId}.3.end`, data: { total: 1 } }
  ])
  const lines = readFrames(await app.inject({ ...post, headers: { accept: 'application/x-ndjson' } }))
  t.strictSame(lines.map(({ event, data }) => [event, data]).slice(1), [['progress', progress], ['complete', { total: 1 }]])
  const enveloped = readFrames(await app.inject({ ...post, url: '/enveloped' }))
  t.strictSame(enveloped.map(frame => 'event' in frame), [false, false, false])
  t.strictSame(enveloped[1]!.data, { type: 'progress', data: progress })

  const port = await listen(app)
  const response = await fetch(`http://127.0.0.1:${port}/count`, { method: 'POST', body: '{"to":1}', headers: { 'content-type': 'application/json' } })
  t.throws(() => readFrames(response as never), { message: /pass await response.text\(\) of fetch/ })
  t.equal(readFrames(await response.text()).length, 3)

  const refused = await app.inject({ ...post, url: '/watch' })
  t.throws(() => readFrames(refused), { message: /^The response is no stream, but 404 with application\/problem\+json: "\{.*"detail\\":\\"no\\"/ })
  const reconnect = await app.inject({ ...post, headers: { 'last-event-id': frames[2]!.id } })
  t.throws(() => readFrames(reconnect), { message: /^The response is no stream, but 204 with no content type: ""/ })
})

t.test('leaves heartbeats out, and takes parts of streams', async t => {
  t.strictSame(readFrames(''), [])
  t.strictSame(readFrames(':\n\n'), [])
  t.strictSame(readFrames('\n\n'), [])
  t.strictSame(readFrames(`:\n\n${start}:\n\n`), [{ event: 'start', id: `${id}.1`, data: {} }])
  t.strictSame(readFrames(`\n\n${line}\n${line.replace('.1', '.2.end')}\n`).map(frame => frame.id), [`${id}.1`, `${id}.2.end`])
  t.strictSame(readFrames(start.replace('.1', '.7')), [{ event: 'start', id: `${id}.7`, data: {} }])
})

t.test('takes what the protocol keeps for later versions', async t => {
  t.strictSame(readFrames(`${start.replace('\ndata', '\nretry: 100\ndata')}${start.replace('.1', '.1-2')}`), [
    { event: 'start', id: `${id}.1`, data: {} }, { event: 'start', id: `${id}.1-2`, data: {} }
  ])
})

t.test('reads the end of one reader, which has no id', async t => {
  const end = { event: 'failed', id: '', data: { status: 410, code: 'MEDIATOR_ERR_LOG_GAP' } }
  const data = JSON.stringify(end.data)
  t.match(readFrames(`${start}event: failed\ndata: ${data}\n\n`), [{ event: 'start' }, end])
  t.strictSame(readFrames(`{"event":"failed","data":${data}}\n`), [end])
})

t.test('refuses what the project never writes', async t => {
  const refused: Array<[text: string, message: RegExp]> = [
    [start.slice(0, -1), /^The stream does not end with an empty line: "event: start/],
    [`${start}event: progress\nid: ${id}.2\n`, /does not end with an empty line/],
    [start.replaceAll('\n', '\r\n'), /carriage return/],
    [line.replace('\n', '\r\n'), /carriage return/],
    [start.replace('event: ', 'event:'), /^This is no field of a frame: "event:start"/],
    [start.replace('event: ', 'name: '), /^This is no field of a frame/],
    [`: a comment\n\n${start}`, /^This is no field of a frame: ": a comment"/],
    [`\n\n${start}`, /^This is no field of a frame: ""/],
    [`id: ${id}.1\nevent: start\ndata: {}\n\n`, /this one has id, event, data/],
    ['event: start\ndata: {}\n\n', /does not end its reader has no id/],
    [`event: failed\ndata: {"status":410}\n\n${start}`, /does not end its reader has no id/],
    ['event: progress\ndata: null\n\n', /does not end its reader has no id/],
    [start.replace('data: {}', 'data: {}\ndata: {}'), /this one has event, id, data, data/],
    [start.replace('start', 'st art'), /^This frame has no event name/],
    [start.replace('{}', '{'), /^This frame holds no JSON: "event: start/],
    [start.replace('.1', ''), /^This is no id of a frame: "Zk3/],
    [start + start, new RegExp(`^The frame ${id}.1 follows number 1`)],
    [start + start.replace('.1', '.3'), /follows number 1/],
    [start + start.replace('A.1', 'B.2'), /is of another stream/],
    [start.replace('.1', '.1.end') + start.replace('.1', '.2'), /follows the last one/],
    [line.trim(), /^The stream does not end with a line break/],
    [`${line}[]\n`, /A line has the members event, id, data, this one has : "\[\]"/],
    [`${line}null\n`, /this one has : "null"/],
    [`${line}5\n`, /this one has : "5"/],
    [`${line}{\n`, /^This frame holds no JSON: "\{"/],
    [line.replace('"data":{}', '"data":{},"more":1'), /this one has event, id, data, more/],
    [line.replace('"start"', '5'), /^This frame has no event name/],
    [line.replace(/"id":"[^"]*"/, '"id":5'), /^This is no id of a frame: "5"/],
    [`${line}${start}`, /^This frame holds no JSON/]
  ]
  for (const [text, message] of refused) t.throws(() => readFrames(text), { message }, JSON.stringify(text.slice(0, 60)))
  t.throws(() => readFrames(start.replace('{}', 'x'.repeat(500))), { message: /^.{1,300}…"$/s }, 'without the whole text')
  const response = { statusCode: 200, body: line }
  t.throws(() => readFrames({ ...response, headers: { 'content-type': 'text/event-stream' } }), { message: /does not end with an empty line/ })
  t.throws(() => readFrames({ ...response, headers: { 'content-type': 'application/json' } }), { message: /no stream/ })
  t.throws(() => readFrames(undefined as never), TypeError)
})
