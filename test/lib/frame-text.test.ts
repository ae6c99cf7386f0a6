import t from 'tap'
import { frameStyle } from '../../lib/frame-style.js'
import { FrameText } from '../../lib/frame-text.js'
import { Count } from '../support/app.js'

const id = 'i'.repeat(22)
const style = frameStyle(Count)
const start = { seq: 1, attempt: 1, event: 'start', data: '{"streamId":"s"}' }
const problem = '{"title":"Gone","status":410,"detail":"It is gone"}'

t.test('tells clients of server-sent events when to come back, once an attempt and nobody else', async t => {
  const text = new FrameText(id, 'sse', style, { retry: true })
  t.equal(text.write(start), `event: start\nid: ${id}.1\nretry: 2000\ndata: {"streamId":"s"}\n\n`)
  t.equal(text.write({ ...start, seq: 7, attempt: 2 }), `event: start\nid: ${id}.7-2\nretry: 2000\ndata: {"streamId":"s"}\n\n`)
  t.equal(text.write({ seq: 2, attempt: 1, event: 'progress', data: '"\\ndata: x"' }), `event: progress\nid: ${id}.2\ndata: "\\ndata: x"\n\n`)
  t.equal(new FrameText(id, 'sse', frameStyle(Count, 'envelope'), { retry: true }).write(start), `id: ${id}.1\nretry: 2000\ndata: {"type":"start","streamId":"s"}\n\n`)
  t.notMatch(new FrameText(id, 'ndjson', style, { retry: true }).write(start), 'retry')
  t.notMatch(new FrameText(id, 'sse', style).write(start), 'retry')
})

t.test('writes the end of a reader without an id, in the style of its route', async t => {
  const names = { failed: 'error' }
  t.equal(new FrameText(id, 'sse', style).writeReadersEnd(problem), `event: failed\ndata: ${problem}\n\n`)
  t.equal(new FrameText(id, 'sse', frameStyle(Count, 'event', names)).writeReadersEnd(problem), `event: error\ndata: ${problem}\n\n`)
  t.equal(new FrameText(id, 'ndjson', style).writeReadersEnd(problem), `{"event":"failed","data":${problem}}\n`)
  t.equal(new FrameText(id, 'ndjson', frameStyle(Count, 'envelope', names)).writeReadersEnd(problem), `{"event":"error","data":${problem}}\n`)
  t.strictSame(JSON.parse(new FrameText(id, 'sse', frameStyle(Count, 'envelope', names)).writeReadersEnd(problem).slice('data: '.length)),
    { type: 'error', title: 'Gone', status: 410, detail: 'It is gone', message: 'It is gone' })
})

t.test('has a heartbeat that is no frame', async t => {
  t.equal(new FrameText(id, 'sse', style).heartbeat, ':\n\n')
  t.equal(new FrameText(id, 'ndjson', style).heartbeat, '\n')
})
