import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineCommand } from '../../index.js'
import { FrameDataWriter } from '../../lib/frame-data.js'
import { problemOf } from '../../lib/problem.js'
import { Add, Count, Watch } from '../support/app.js'

t.test('writes the data of each frame, and its name as the definition has it', async t => {
  const writer = new FrameDataWriter(Count)
  t.strictSame(writer.start({ streamId: 's', command: 'count', attempt: 2, resumable: true, url: '/s' }),
    { event: 'start', data: '{"streamId":"s","command":"count","attempt":2,"resumable":true,"url":"/s"}' })
  t.strictSame(writer.progress({ n: 1, more: true }), { event: 'progress', data: '{"n":1}' })
  t.equal(writer.progress(undefined), undefined)
  t.strictSame(writer.complete({ total: 1 }), { event: 'complete', data: '{"total":1}' })
  const failed = writer.failed(problemOf(new Error('secret'), 's'))
  t.equal(failed.event, 'failed')
  t.match(JSON.parse(failed.data), { status: 500, instance: 's' })
  t.notMatch(failed.data, 'secret')
  t.strictSame(new FrameDataWriter(Add).complete(3), { event: 'complete', data: '3' })
})

t.test('takes the name from progress that has one', async t => {
  const writer = new FrameDataWriter(Watch)
  t.strictSame(writer.progress({ event: 'tick', data: { n: 1 } }), { event: 'tick', data: '{"n":1}' })
  for (const value of [null, 5, {}, { event: 'tack', data: {} }, { data: { n: 1 } }]) {
    t.throws(() => writer.progress(value), { code: 'MEDIATOR_ERR_INVALID_OUTPUT' }, JSON.stringify(value))
  }
})

t.test('refuses a text that would be two lines', async t => {
  const Dated = defineCommand({ name: 'dated', input: Type.Object({}), progress: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) })
  const writer = new FrameDataWriter(Dated)
  for (const lineBreak of ['\n', '\r']) {
    const date = Object.assign(new Date(0), { getUTCFullYear: () => 10_000, toISOString: () => `a${lineBreak}event: forged` })
    t.throws(() => writer.progress(date), { code: 'MEDIATOR_ERR_INVALID_OUTPUT' })
  }
})
