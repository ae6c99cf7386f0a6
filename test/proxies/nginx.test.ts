import { once } from 'node:events'
import { commandRoute, streamRoutes } from '../../index.js'
import { readFrames } from '../../lib/testing/index.js'
import { Count, createApp, deferred, listen } from '../support/app.js'
import { nginx, startProxy } from './proxy.js'
import { ProxyClient } from './proxy-client.js'
import { setStage, testLatency, testProxy } from './suite.js'

await testProxy(nginx, t => {
  t.test('what holds frames back without X-Accel-Buffering is the buffering of nginx', async t => {
    const seen = deferred()
    let over = false
    const { proxy } = await setStage(t, nginx, async function * () {
      yield { n: 1 }
      // With buffering the frame is seen after the end alone.
      await Promise.race([seen.promise, new Promise(resolve => setTimeout(resolve, 500))])
      over = true
      return { total: 1 }
    }, { edit: config => config.replace('proxy_pass', 'proxy_ignore_headers X-Accel-Buffering; proxy_pass') })
    const answer = await new ProxyClient(t, proxy, 'HTTP/1.1').send('/count', { headers: { accept: 'text/event-stream' }, body: { to: 1 } })
    await answer.until('"n":1')
    t.ok(over)
    seen.resolve()
    await answer.end()
  })

  testLatency(t, nginx, 'HTTP/2', 'text/event-stream', {
    encoding: 'gzip', edit: config => config.replace('gzip on', 'gzip_types text/event-stream; gzip on')
  })

  t.test('a stream that nginx cuts goes on at the url of its start, below a prefix that nginx takes off', async t => {
    const { app } = await createApp(t, { owner: 'public', onDisconnect: 'continue', publicPrefix: '/api' })
    const goOn = deferred()
    let runs = 0
    app.mediator.addHandler(Count, async function * () {
      runs++
      yield { n: 1 }
      await goOn.promise
      yield { n: 2 }
      return { total: 2 }
    })
    app.route(commandRoute(Count, { url: '/count' }))
    await app.register(streamRoutes, { prefix: '/streams' })
    const proxy = await startProxy(t, nginx, await listen(app), {
      silenceMs: 1_000,
      edit: config => config.replace('location /', 'location /api/').replace('proxy_pass http://app', 'proxy_pass http://app/')
    })
    const client = new ProxyClient(t, proxy, 'HTTP/2')
    const cut = await client.send('/api/count', { headers: { accept: 'text/event-stream' }, body: { to: 2 } })
    const seen = readFrames(await cut.end())
    t.notOk(cut.whole)
    t.strictSame(seen.map(({ event }) => event), ['start', 'progress'])
    const { url } = seen[0]!.data
    t.match(url, /^\/api\/streams\//)
    const resumed = await client.send(url, { method: 'GET', headers: { 'last-event-id': seen.at(-1)!.id! } })
    goOn.resolve()
    t.strictSame(readFrames(await resumed.end()).map(({ event, data }) => [event, data]), [['progress', { n: 2 }], ['complete', { total: 2 }]])
    t.equal(runs, 1)
    const async = await client.send('/api/count', { headers: { prefer: 'respond-async' }, body: { to: 2 } })
    t.match(async.headers.location, /^\/api\/streams\//)
    await async.end()
    const deleted = await client.send(async.headers.location!, { method: 'DELETE' })
    t.match(JSON.parse(await deleted.end()).state, /^(?:completed|cancelled)$/)
  })

  for (const [directive, runs] of [['', 2], ['proxy_next_upstream off; ', 1]] as const) {
    t.test(`a GET whose answer has not begun in time is sent to ${runs} of two servers with ${directive || 'the defaults'}`, async t => {
      let started = 0
      const { proxy, ended } = await setStage(t, nginx, async function * (_input, { signal }) {
        started++
        await once(signal, 'abort')
        return { total: 1 }
      }, {
        silenceMs: 1_000,
        edit: config => config.replace(/server (127\.0\.0\.1:\d+);/, 'server $1; server $1 max_conns=100;').replace('proxy_pass', `${directive}proxy_pass`)
      })
      const answer = await new ProxyClient(t, proxy, 'HTTP/1.1').send('/count?to=1', { method: 'GET', headers: { accept: 'application/json' } })
      t.equal(answer.status, 504)
      await ended(runs)
      t.equal(started, runs)
    })
  }
})
