import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import t from 'tap'
import { deferred } from '../support/app.js'
import { readFrames } from '../../lib/testing/index.js'
import { namesOf } from '../support/frames.js'
import { startServer } from './started-server.js'

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`prints curl lines that work, and ends with code 0 on ${signal}`, async t => {
    const { child, output } = startServer(t, { PORT: '0' })
    while (!/^curl .*process-orders.*\n/m.test(output())) await once(child.stdout!, 'data')
    const [line, ordersLine] = Array.from(output().matchAll(/^curl .*$/gm), ([text]) => text) as [string, string]
    t.match(line, /^curl -N -X POST http:\/\/127\.0\.0\.1:\d+\/commands\/process-files -H 'content-type: application\/json' -d '\{"fileIds":\[.+\]\}'$/)
    const { stdout } = await promisify(execFile)('sh', ['-c', line])
    const names = namesOf(readFrames(stdout))
    t.equal(names[0], 'start')
    t.equal(names.at(-1), 'complete')
    t.equal(names.length, JSON.parse(/-d '(.*)'$/.exec(line)![1]!).fileIds.length + 2)
    const orders = await promisify(execFile)('sh', ['-c', ordersLine])
    t.same(namesOf(readFrames(orders.stdout)), ['start', ...Array(5).fill('progress'), 'complete'])
    const page = /^Open (\S+)/m.exec(output())![1]!
    t.equal((await fetch(page)).status, 200)

    child.kill(signal)
    const [code] = await once(child, 'exit')
    t.equal(code, 0)
  })
}

t.test('loses no stream silently when it is told to end, once or twice', async t => {
  const { child, output } = startServer(t, { PORT: '0' })
  while (!/^curl .*process-orders.*\n/m.test(output())) await once(child.stdout!, 'data')
  const url = /http:\/\/\S+process-orders/.exec(output())![0]
  let started = 0
  const allStarted = deferred()
  const streams = Array.from({ length: 100 }, async (_, index) => {
    // Some have little to do, and others more than there will be time for.
    const orders = Array.from({ length: index % 10 === 0 ? 1 : 100 }, (_, order) => (
      { orderId: `${index}-${order}`, email: 'ada@example.com', items: [{ product: 'lamp' }] }))
    const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ orders }) })
    let text = ''
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      if (text === '' && ++started === 100) allStarted.resolve()
      text += chunk
    }
    return readFrames(text)
  })
  await allStarted.promise
  const toldAt = performance.now()
  child.kill('SIGTERM')
  setTimeout(() => child.kill('SIGTERM'), 500)
  const [[code], ends] = await Promise.all([once(child, 'exit'), Promise.all(streams).then(all => all.map(frames => frames.at(-1)!))])
  const completed = ends.filter(({ event }) => event === 'complete').length
  const failed = ends.filter(({ event, data }) => event === 'failed' && data.code === 'MEDIATOR_ERR_SHUTTING_DOWN' && data.retryable === true).length
  t.comment(`${completed} completed, ${failed} failed, ended after ${(performance.now() - toldAt).toFixed(0)} ms`)
  t.equal(completed + failed, 100)
  t.ok(failed > 0, 'some were in the middle')
  t.equal(code, 0)
})

t.test('says what is wrong with its port', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  for (const [value, message] of [['http', 'PORT is "http"'], [String(port), `Port ${port} of 127.0.0.1 is in use`]] as const) {
    const { child, errors } = startServer(t, { PORT: value })
    const [code] = await once(child, 'close')
    t.equal(code, 1)
    t.match(errors(), message)
  }
})

t.test('says what is wrong with its folder', async t => {
  const { child, errors } = startServer(t, { PORT: '0', FILES: '/nowhere' })
  const [code] = await once(child, 'close')
  t.equal(code, 1)
  t.match(errors(), 'FILES is "/nowhere": it must be a folder that can be read')
})
