import type { ServerResponse } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import { MemoryStreamLog } from '../../index.js'
import { createClient } from '../../lib/client/index.js'
import { HostileServer, beginStream, frame, startFrame, streamId } from '../client/hostile-server.js'
import { deferred } from '../support/app.js'
import { HookPage, tabStorage } from './hook-page.js'
import { createSubject, numbers } from './subject.js'
import type { Contracts } from './subject.js'

const gap = { type: 'about:blank', title: 'Gone', status: 410, code: 'MEDIATOR_ERR_LOG_GAP', retryable: false }
const resume = 'import'

/** A server whose stream has lost its first frames, and a page that has to go on with it. */
async function createTrimmed (
  t: Test, { onStatus = status, onRest = rest }: { onStatus?: (response: ServerResponse) => unknown, onRest?: (response: ServerResponse) => unknown } = {}
): Promise<{ server: HostileServer, open: () => Promise<HookPage<Contracts>> }> {
  const server = await new HostileServer().start(t, ({ method, headers }, response) => {
    if (method === 'DELETE') response.end(JSON.stringify({ state: 'cancelled', problem: { status: 409, code: 'MEDIATOR_ERR_CANCELLED' } }))
    else if (headers.accept === 'application/json') onStatus(response)
    else if (headers['last-event-id'] === undefined) refuse(response)
    else onRest(response)
  })
  tabStorage().clear()
  tabStorage().setItem('useStream count import', JSON.stringify({ streamUrl: `${server.url}/streams/${streamId}`, ended: false }))
  return { server, open: async () => await HookPage.open(t, createClient<Contracts>({ baseUrl: server.url }), 'count', { resume }) }
}

t.test('a run that has ended, and whose first frames are gone, shows its end', async t => {
  const { client, gate, ends } = await createSubject(t, { streamLog: new MemoryStreamLog({ maxEntries: 8 }) })
  const before = await HookPage.open(t, client, 'count', { resume })
  void before.shown.start({ to: 50, label: 'n' })
  await before.until(({ count }) => count === 1)
  await before.close()
  gate.resolve()
  await ends.until(1)
  for (let reload = 0; reload < 2; reload++) {
    const after = await HookPage.open(t, client, 'count', { resume })
    t.match(await after.untilStatus('complete'), { result: { total: 50 }, count: 0, error: undefined })
    t.match(remembered(), { streamUrl: /\/streams\//, ended: true })
    await after.close()
  }
})

t.test('a run that goes on, and whose first frames are gone, is shown from where it is', async t => {
  const end = deferred()
  const { server, open } = await createTrimmed(t, {
    onRest: async response => {
      beginStream(response)
      response.write(frame('progress', `${streamId}.21-2`, { n: 19 }))
      await end.promise
      response.end(frame('complete', `${streamId}.22-2.end`, { total: 19 }))
    }
  })
  const page = await open()
  t.match(await page.until(({ count }) => count === 1), { status: 'open', progress: [{ n: 19 }], attempt: 2, streamId })
  t.match(remembered(), { ended: false })
  end.resolve()
  t.match(await page.untilStatus('complete'), { result: { total: 19 }, count: 1 })
  t.strictSame(page.renderings.filter(({ status, error }) => status === 'truncated' || error !== undefined), [], 'nothing else was shown in between')
  t.equal(server.requests[2]!.headers['last-event-id'], `${streamId}.20-2`)
})

t.test('frames that are lost while the page reads are left out, and its promise goes on', async t => {
  const server = await new HostileServer().start(t, ({ method, headers }, response) => {
    if (method === 'POST') streamOf(response, startFrame() + frame('progress', `${streamId}.2`, { n: 1 }) + frame('failed', undefined, gap))
    else if (headers.accept === 'application/json') status(response)
    else rest(response)
  })
  for (const options of [{ resume }, {}]) {
    tabStorage().clear()
    const page = await HookPage.open(t, createClient<Contracts>({ baseUrl: server.url }), 'count', options)
    const result = page.shown.start({ to: 19, label: 'n' }, { idempotencyKey: 'a-key-of-22-characters' }).catch((error: unknown) => error)
    if ('resume' in options) {
      t.strictSame(await result, { total: 19 })
      t.strictSame(numbers(await page.untilStatus('complete')), [19], 'of the attempt that is told')
    } else {
      t.match(await result, { code: 'MEDIATOR_ERR_LOG_GAP' }, 'without a memory it is an error')
      t.match(await page.untilStatus('truncated'), { count: 1 })
    }
  }
})

t.test('a stream that is trimmed again, or whose status is not told, is truncated and stays in memory', async t => {
  for (const [options, requests] of [[{ onRest: refuse }, 3], [{ onStatus: (response: ServerResponse) => response.writeHead(500).end() }, 2]] as const) {
    const { server, open } = await createTrimmed(t, options)
    const page = await open()
    t.match(await page.untilStatus('truncated'), { error: { code: gap.code, problem: gap }, count: 0 })
    t.equal(server.requests.length, requests)
    t.match(remembered(), { streamUrl: `${server.url}/streams/${streamId}`, ended: false })
  }
})

t.test('a stream that has no frame yet is read from its start', async t => {
  let asked = 0
  const server = await new HostileServer().start(t, ({ headers }, response) => {
    if (headers.accept === 'application/json') response.end(JSON.stringify({ attempt: 1, lastEventId: null }))
    else if (++asked === 1) refuse(response)
    else streamOf(response, startFrame() + frame('complete', `${streamId}.2.end`, { total: 0 }))
  })
  tabStorage().setItem('useStream count import', JSON.stringify({ streamUrl: `${server.url}/streams/${streamId}`, ended: false }))
  const page = await HookPage.open(t, createClient<Contracts>({ baseUrl: server.url }), 'count', { resume })
  t.match(await page.untilStatus('complete'), { result: { total: 0 } })
})

t.test('while the status is asked for, a cancel waits for it, and a page that leaves reads no further', async t => {
  for (const leaves of [false, true]) {
    const asked = deferred<ServerResponse>()
    const { server, open } = await createTrimmed(t, { onStatus: response => asked.resolve(response), onRest: beginStream })
    const page = await open()
    const response = await asked.promise
    t.equal((await page.untilStatus('reconnecting')).error, undefined)
    if (leaves) {
      await page.close()
      status(response)
      // What it would have asked for by then.
      await new Promise<void>(resolve => response.on('close', resolve))
      await new Promise<void>(resolve => setTimeout(resolve, 50))
      t.equal(server.requests.length, 2)
    } else {
      const cancelled = page.shown.cancel()
      status(response)
      await cancelled
      t.match(await page.untilStatus('cancelled'), { error: { code: 'MEDIATOR_ERR_CANCELLED' } })
      t.equal(server.requests.filter(({ method }) => method === 'DELETE').length, 1)
    }
  }
})

function refuse (response: ServerResponse): void {
  response.writeHead(410, { 'content-type': 'application/problem+json' }).end(JSON.stringify(gap))
}

function status (response: ServerResponse): void {
  response.end(JSON.stringify({ attempt: 2, lastEventId: `${streamId}.20-2` }))
}

function rest (response: ServerResponse): void {
  streamOf(response, frame('progress', `${streamId}.21-2`, { n: 19 }) + frame('complete', `${streamId}.22-2.end`, { total: 19 }))
}

function streamOf (response: ServerResponse, text: string): void {
  beginStream(response)
  response.end(text)
}

function remembered (): any {
  return JSON.parse(tabStorage().getItem('useStream count import')!)
}
