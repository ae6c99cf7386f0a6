import t from 'tap'
import { commandRoute } from '../../index.js'
import { Count, createApp, listen } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'

// Node starts every request of a connection at once, and reads no more from it while their answers wait: also not that it has closed.
t.test('requests behind a stream on one connection are bounded by owner, and gone when the client is', async t => {
  const { app, logs } = await createApp(t, { heartbeatMs: 50, maxStreamsPerOwner: 10, owner: request => request.ip })
  let started = 0
  let ended = 0
  const allEnded = new Promise<void>(resolve => app.mediator.onStreamEnd(() => { if (++ended === 10) resolve() }))
  app.mediator.addHandler(Count, async function * (_, { signal }) {
    started++
    yield { n: 1 }
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    return { total: 0 }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  const client = new RawClient(await listen(app))
  const headers = { host: 'a', 'content-type': 'application/json', 'content-length': '8' }
  const request = `POST /count HTTP/1.1\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n{"to":1}`
  client.socket.write(request.repeat(200))
  await client.until('"n":1')
  t.match(app.mediator.stats(), { streams: started })
  t.ok(started <= 10, `${started} started`)
  client.socket.destroy()
  await allEnded
  t.equal(started, 10)
  t.match(app.mediator.stats(), { streams: 0 })
  t.strictSame(logs.filter(({ level }) => level >= 40), [])
})
