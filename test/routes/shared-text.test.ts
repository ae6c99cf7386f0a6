import t from 'tap'
import type { FrameStyle } from '../../lib/frame-style.js'
import type { LogEntry } from '../../lib/stream-log.js'
import { SharedTexts } from '../../routes/shared-text.js'

const style: FrameStyle = { framing: 'event', names: { start: 'start', progress: 'progress', complete: 'complete', failed: 'failed' } }
const options = { streamId: 'A'.repeat(22), format: 'sse', style, retry: false } as const

const entry = (seq: number, data: string, attempt = 1): LogEntry => ({ seq, attempt, event: 'progress', data, bytes: data.length })
const frame = (seq: number, data: string, suffix = ''): string => `event: progress\nid: ${options.streamId}.${seq}${suffix}\ndata: ${data}\n\n`

t.test('gives the second reader what the first has written', async t => {
  const texts = new SharedTexts()
  const [first, second] = [texts.open(options), texts.open({ ...options, style: { ...style } })]
  t.equal(first.write([entry(2, '"a"'), entry(3, '"b"')]), frame(2, '"a"') + frame(3, '"b"'))
  // A number and its attempt are one entry of the log, so that nobody looks at what is in these.
  t.equal(second.write([entry(2, '"other"'), entry(3, '"other"')]), frame(2, '"a"') + frame(3, '"b"'))
})

t.test('writes what begins or ends elsewhere', async t => {
  const texts = new SharedTexts()
  const [first, second] = [texts.open(options), texts.open(options)]
  first.write([entry(2, '"a"'), entry(3, '"b"')])
  t.equal(second.write([entry(3, '"b"')]), frame(3, '"b"'))
  t.equal(first.write([entry(2, '"a"'), entry(3, '"b"'), entry(4, '"c"')]), frame(2, '"a"') + frame(3, '"b"') + frame(4, '"c"'))
})

t.test('tells two attempts with the same numbers apart', async t => {
  const texts = new SharedTexts()
  const [first, second] = [texts.open(options), texts.open(options)]
  first.write([entry(2, '"a"')])
  t.equal(second.write([entry(2, '"b"', 2)]), frame(2, '"b"', '-2'))
})

t.test('keeps nothing for a reader that is alone', async t => {
  const texts = new SharedTexts()
  const [first, second] = [texts.open(options), texts.open(options)]
  first.write([entry(2, '"a"')])
  second.close()
  t.equal(first.write([entry(2, '"b"')]), frame(2, '"b"'))
  t.equal(first.write([entry(2, '"c"')]), frame(2, '"c"'))
})

t.test('shares nothing between readers that read differently, other streams, and those that come when all have left', async t => {
  const texts = new SharedTexts()
  const first = texts.open(options)
  t.equal(texts.open(options), first)
  for (const other of [
    { ...options, streamId: 'B'.repeat(22) }, { ...options, format: 'ndjson' as const }, { ...options, retry: true },
    { ...options, style: { ...style, framing: 'envelope' as const } }
  ]) t.not(texts.open(other), first)
  first.close()
  t.equal(texts.open(options), first)
  first.close()
  first.close()
  t.not(texts.open(options), first)
})
