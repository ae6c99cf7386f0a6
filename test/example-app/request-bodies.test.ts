import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { Socket } from 'node:net'
import t from 'tap'
import { RunningApp } from './running-app.js'

t.test('requests that follow each other on one connection leave nothing on it', async t => {
  const app = await new RunningApp().start(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const connected = once(app.instance.server, 'connection') as Promise<[Socket]>
  const post = async (): Promise<void> => {
    const asking = request(`${app.url}/commands/process-orders`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } })
    asking.end('{}')
    const [response] = await once(asking, 'response')
    response.resume()
    await once(response, 'end')
  }
  await post()
  const [socket] = await connected
  const listeners = (): number => socket.eventNames().reduce((sum, name) => sum + socket.listenerCount(name), 0)
  const before = listeners()
  for (let posts = 0; posts < 20; posts++) await post()
  t.equal(listeners(), before)
  t.equal(app.logs.filter(({ msg }) => msg === 'incoming request').length, 21)
})
