import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import t from 'tap'
import { createClient } from '../../lib/client/index.js'
import { useStream } from '../../lib/react/index.js'
import { HostileServer, beginStream, frame, startFrame, streamId } from '../client/hostile-server.js'
import { deferred } from '../support/app.js'
import { HookPage, acting } from './hook-page.js'
import { createSubject, numbers } from './subject.js'
import type { Contracts } from './subject.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

t.test('is idle until it is started, shows progress as it comes, and the result', async t => {
  const { client, gate } = await createSubject(t)
  const page = await HookPage.open(t, client, 'count')
  t.match(page.shown, { status: 'idle', progress: [], latest: undefined, count: 0, result: undefined, error: undefined, streamId: undefined, attempt: 0 })
  const result = page.shown.start({ to: 3, label: 'n' })
  t.equal((await page.until(({ status }) => status !== 'idle')).status, 'connecting')
  const { streamId } = await page.until(({ count }) => count === 1)
  t.match(page.shown, { status: 'open', progress: [{ n: 1 }], latest: { n: 1 }, result: undefined, streamId: /^[\w-]{22}$/, attempt: 1 })
  gate.resolve()
  t.match(await page.untilStatus('complete'), { progress: [{ n: 1 }, { n: 2 }, { n: 3 }], latest: { n: 3 }, count: 3, result: { total: 3 }, error: undefined, streamId })
  t.strictSame(await result, { total: 3 })
  t.equal(new Set(page.renderings.flatMap(({ start, cancel, reset }) => [start, cancel, reset])).size, 3, 'its functions stay the same')
})

t.test('a regular command has a result alone, and several kinds of progress are told by name', async t => {
  const { client } = await createSubject(t)
  const sum = await HookPage.open(t, client, 'add')
  t.equal(await sum.shown.start({ a: 1, b: 2 }), 3)
  t.match(await sum.untilStatus('complete'), { result: 3, count: 0, latest: undefined })
  const watched = await HookPage.open(t, client, 'watch')
  void watched.shown.start({ to: 2 }, { method: 'GET' })
  t.match(await watched.untilStatus('complete'), { result: null, progress: [{ event: 'tick', data: { n: 1 } }, { event: 'tick', data: { n: 2 } }] })
})

t.test('renders once a frame, however many events there are', async t => {
  const { client, gate } = await createSubject(t)
  const page = await HookPage.open(t, client, 'count')
  gate.resolve()
  const startedAt = performance.now()
  void page.shown.start({ to: 10_000, label: 'n' })
  const { progress, count } = await page.untilStatus('complete')
  const elapsedMs = performance.now() - startedAt
  t.equal(count, 10_000)
  t.equal(progress.length, 10_000, 'all of them are there')
  // There is no screen here: then a frame is 100 ms long. What is done at once is shown at once: idle, connecting and the end.
  t.ok(page.renderings.length <= elapsedMs / 90 + 4, `${page.renderings.length} renderings in ${elapsedMs} ms`)
  const counts = page.renderings.map(({ count }) => count)
  t.strictSame(counts, counts.toSorted((a, b) => a - b))
})

t.test('keeps the newest progress, and counts all', async t => {
  const { client, gate } = await createSubject(t)
  gate.resolve()
  const all = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  for (const [keep, kept] of [[3, [8, 9, 10]], [1, [10]], [0, []], [10, all], [Infinity, all]] as const) {
    const page = await HookPage.open(t, client, 'count', { keep })
    void page.shown.start({ to: 10, label: 'n' })
    const shown = await page.untilStatus('complete')
    t.strictSame(numbers(shown), kept, `keep ${keep}`)
    t.match(shown, { count: 10, latest: { n: 10 } })
  }
})

t.test('an error is shown, and who leaves the promise alone has no unhandled rejection', async t => {
  const { client, gate } = await createSubject(t)
  const page = await HookPage.open(t, client, 'count')
  void page.shown.start({ to: 404, label: 'n' })
  t.match(await page.untilStatus('failed'), { error: { kind: 'failed', code: 'NOTHING', problem: { status: 404, detail: 'Nothing to count' } }, result: undefined, count: 0 })
  gate.resolve()
  await t.rejects(page.shown.start({ to: 409, label: 'n' }), { code: 'TOO_FAR' })
  t.match(await page.until(({ count }) => count > 0), { count: 409, error: { kind: 'failed', code: 'TOO_FAR' } }, 'beside the progress before it')
  void page.shown.start({ to: -1, label: 'n' })
  t.match(await page.until(({ error }) => (error as { code: string } | undefined)?.code === 'FST_ERR_VALIDATION'), { status: 'failed', count: 0 })
})

t.test('a connection that is lost is made again, and that is shown', async t => {
  const { client, gate, proxy, started } = await createSubject(t)
  const page = await HookPage.open(t, client, 'count')
  void page.shown.start({ to: 3, label: 'n' })
  await page.until(({ count }) => count === 1)
  proxy.break()
  await page.untilStatus('reconnecting')
  t.strictSame(numbers(page.shown), [1])
  proxy.mend()
  gate.resolve()
  t.strictSame(numbers(await page.untilStatus('complete')), [1, 2, 3])
  t.strictSame(started, [3])
})

t.test('start leaves the run before, and shows nothing of it any more', async t => {
  const { client, gate, ends } = await createSubject(t)
  const page = await HookPage.open(t, client, 'count')
  const first = page.shown.start({ to: 3, label: 'n' })
  await page.until(({ count }) => count === 1)
  const { streamId } = page.shown
  const second = page.shown.start({ to: 2, label: 'n' })
  await t.rejects(first, { kind: 'truncated', code: 'CLIENT_ERR_LEFT' })
  t.match(await page.until(({ status }) => status === 'connecting'), { count: 0, progress: [], streamId: undefined })
  await page.until(({ count }) => count === 1)
  gate.resolve()
  t.strictSame(await second, { total: 2 })
  const shown = await page.untilStatus('complete')
  t.strictSame(numbers(shown), [1, 2])
  t.not(shown.streamId, streamId)
  t.strictSame((await ends.until(2)).map(({ reason }) => reason), ['completed', 'completed'], 'on the server, which keeps it, it went on')
})

t.test('unmounting leaves the stream: one that is kept goes on, another is aborted', async t => {
  for (const [onDisconnect, reason] of [['continue', 'completed'], ['abort', 'client-closed']] as const) {
    const { client, gate, ends } = await createSubject(t, { onDisconnect })
    const page = await HookPage.open(t, client, 'count')
    const result = page.shown.start({ to: 3, label: 'n' })
    await page.until(({ count }) => count === 1)
    const renderings = page.renderings.length
    await page.close()
    await t.rejects(result, { code: 'CLIENT_ERR_LEFT' })
    // One that is not kept ends without it.
    if (onDisconnect === 'continue') gate.resolve()
    t.match(await ends.until(1), [{ reason }], onDisconnect)
    t.equal(page.renderings.length, renderings, 'and nothing is rendered any more')
  }
})

t.test('a stream that was left before it was answered does not come back', async t => {
  const { client, untilStarted, gate, ends } = await createSubject(t, { onDisconnect: 'abort' })
  const page = await HookPage.open(t, client, 'count')
  void page.shown.start({ to: 1_000, label: 'n' })
  await untilStarted(1)
  await page.close()
  t.match(await ends.until(1), [{ reason: 'client-closed' }])
  gate.resolve()
})

t.test('cancel ends the command, and its end is shown', async t => {
  const { client, ends } = await createSubject(t)
  const page = await HookPage.open(t, client, 'count')
  await page.shown.cancel()
  t.equal(page.shown.status, 'idle', 'there was nothing to cancel')
  void page.shown.start({ to: 3, label: 'n' })
  await page.until(({ count }) => count === 1)
  await page.shown.cancel()
  t.match(await page.untilStatus('cancelled'), { count: 1, error: { kind: 'cancelled', code: 'MEDIATOR_ERR_CANCELLED' } })
  t.match(await ends.until(1), [{ reason: 'cancelled' }])
})

t.test('a signal cancels, and the error is its reason, whatever that is', async t => {
  const { client, ends } = await createSubject(t)
  const page = await HookPage.open(t, client, 'count', { resume: 'signal' })
  for (const [index, reason] of [new Error('Enough'), null, 'enough'].entries()) {
    const controller = new AbortController()
    void page.shown.start({ to: 3, label: 'n' }, { signal: controller.signal })
    await page.until(({ count, status }) => count === 1 && status === 'open')
    controller.abort(reason)
    t.equal((await page.untilStatus('cancelled')).error, reason)
    t.match((await ends.until(index + 1)).at(-1), { reason: 'cancelled' })
  }
  void page.shown.start({ to: 3, label: 'n' }, { signal: AbortSignal.abort('never') })
  t.match(await page.until(({ error }) => error === 'never'), { status: 'cancelled', count: 0 }, 'one that was aborted before')
})

t.test('reset leaves the stream and shows nothing; the next start is another', async t => {
  const { client, gate, ends } = await createSubject(t)
  const page = await HookPage.open(t, client, 'count')
  void page.shown.start({ to: 3, label: 'n' })
  await page.until(({ count }) => count === 1)
  await acting(() => page.shown.reset())
  t.match(page.shown, { status: 'idle', progress: [], count: 0, error: undefined, streamId: undefined })
  gate.resolve()
  t.match(await ends.until(1), [{ reason: 'completed' }], 'a stream that is kept goes on')
  t.equal(page.shown.status, 'idle', 'and is not heard of again')
  t.strictSame(await page.shown.start({ to: 1, label: 'n' }), { total: 1 })
  t.match(await page.untilStatus('complete'), { count: 1 })
})

t.test('StrictMode, which mounts twice, leaves nothing behind and starts nothing twice', async t => {
  const { client, gate, started } = await createSubject(t)
  gate.resolve()
  const page = await HookPage.open(t, client, 'count', { strict: true })
  t.strictSame(started, [])
  void page.shown.start({ to: 3, label: 'n' })
  t.match(await page.untilStatus('complete'), { count: 3, result: { total: 3 }, error: undefined })
  t.strictSame(started, [3])
})

t.test('a client that is made by each rendering does not end the stream', async t => {
  const { proxy, gate, started } = await createSubject(t)
  const page = await HookPage.open(t, () => createClient<Contracts>({ baseUrl: `${proxy.url}/commands` }), 'count')
  void page.shown.start({ to: 3, label: 'n' })
  await page.until(({ count }) => count === 1)
  gate.resolve()
  t.match(await page.untilStatus('complete'), { count: 3 })
  t.strictSame(started, [3])
})

t.test('start calls by the client of the last rendering', async t => {
  const [first, second] = [await createSubject(t), await createSubject(t)]
  const page = await HookPage.open(t, first.client, 'count')
  await page.show(second.client, 'count')
  second.gate.resolve()
  await page.shown.start({ to: 3, label: 'n' })
  t.strictSame([first.started, second.started], [[], [3]])
})

t.test('another name is another stream, which begins idle', async t => {
  const { client, ends } = await createSubject(t, { onDisconnect: 'abort' })
  const page = await HookPage.open(t, client, 'count')
  void page.shown.start({ to: 3, label: 'n' })
  await page.until(({ count }) => count === 1)
  await page.show(client, 'add')
  t.equal(page.shown.status, 'idle')
  t.match(await ends.until(1), [{ reason: 'client-closed' }])
})

t.test('where the server begins again, what was told before is dropped', async t => {
  for (const [again, count] of [[frame('progress', `${streamId}.5-2`, { n: 1 }), 1], ['', 0]] as const) {
    const gate = deferred()
    const server = await new HostileServer().start(t, async (_request, response) => {
      beginStream(response)
      response.write(startFrame() + frame('progress', `${streamId}.2`, { n: 1 }) + frame('progress', `${streamId}.3`, { n: 2 }))
      await gate.promise
      response.end(startFrame({ attempt: 2 }, undefined, `${streamId}.4-2`) + again + frame('complete', `${streamId}.${5 + count}-2.end`, { total: count }))
    })
    const page = await HookPage.open(t, createClient<Contracts>({ baseUrl: server.url }), 'count')
    void page.shown.start({ to: 2, label: 'n' })
    t.match(await page.until(({ count }) => count === 2), { attempt: 1 })
    gate.resolve()
    t.match(await page.untilStatus('complete'), { attempt: 2, count, progress: count === 1 ? [{ n: 1 }] : [], latest: count === 1 ? { n: 1 } : undefined, result: { total: count } })
  }
})

t.test('a server renders it idle', async t => {
  const client = createClient<Contracts>({ baseUrl: 'http://127.0.0.1:1' })
  const Component = () => createElement('p', null, useStream(client, 'count', { resume: 'server' }).status)
  t.equal(renderToString(createElement(Component)), '<p>idle</p>')
})

// Last, because it is about all of those above.
t.test('no rejection was unhandled', async t => {
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(unhandled, [])
})
