import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { readFrames } from '../../lib/testing/index.js'
import type { Frame } from '../../lib/testing/index.js'
import { deferred } from '../support/app.js'
import { namesOf } from '../support/frames.js'
import { randomFrom } from '../support/random.js'
import { RawClient } from '../support/raw-client.js'
import { CuttingProxy } from './cutting-proxy.js'
import { clients, partOf, readByHand, readByPolyfill } from './resuming-clients.js'
import { Subject, progressCount, within } from './subject.js'

const { SEED: seed = String(Date.now() % 2 ** 31) } = process.env
const sse = { accept: 'text/event-stream' }

t.setTimeout(100_000)

t.test('readers that come while a stream writes get each frame once, wherever they begin', async t => {
  t.comment(`SEED=${seed}`)
  const random = randomFrom(Number(seed))
  const turns = async (most: number): Promise<void> => {
    for (let left = Math.floor(random() * most); left > 0; left--) await turn()
  }
  const subject = await Subject.create(t, { pace: () => random() < 0.3 ? undefined : turns(6) })
  await Promise.all(Array.from({ length: 60 }, async () => {
    const label = subject.newLabel()
    const path = await subject.begin(label)
    await Promise.all(Array.from({ length: 4 }, async () => {
      await turns(60)
      t.equal(subject.faultOf(await within(60_000, readByHand(subject.port, path)), label), undefined)
    }))
  }))
  await subject.assertNothingLeft(t)
})

t.test('a client that leaves after every frame and comes back as the next one is written misses none', async t => {
  for (const turnsBefore of [0, 1, 2, 3, 5]) {
    let next = deferred()
    const subject = await Subject.create(t, {
      pace: async () => {
        await next.promise
        next = deferred()
      }
    })
    const path = await subject.begin(subject.newLabel())
    const ids: string[] = []
    while (!ids.at(-1)?.endsWith('.end')) {
      const client = new RawClient(subject.port)
      client.request('GET', path, { headers: { ...sse, ...ids.length > 0 && { 'last-event-id': ids.at(-1)! } } })
      await once(client.socket, 'connect')
      for (let left = turnsBefore; left > 0; left--) await turn()
      if (ids.length > 0) next.resolve()
      await client.until('\n\n')
      ids.push(...framesOf(client).map(({ id }) => id))
      client.socket.resetAndDestroy()
    }
    t.strictSame(ids.map(id => id.slice(23)), [...Array.from({ length: progressCount + 1 }, (_, index) => String(index + 1)), '20.end'])
    await subject.assertNothingLeft(t)
  }
})

t.test('a stream that ends at the moment of the cut gives its end to who comes back', async t => {
  for (const way of ['stream url', 'keyed'] as const) {
    for (const by of ['FIN', 'RST'] as const) {
      const ends = new Map<string, { promise: Promise<void> }>()
      const subject = await Subject.create(t, { pace: (n, label) => n > progressCount ? ends.get(label)!.promise : undefined })
      await Promise.all(Object.values(clients).map(async (read, index) => {
        const label = subject.newLabel()
        const end = deferred()
        ends.set(label, end)
        const path = await subject.pathTo(way, label)
        const whole = new RawClient(subject.port)
        whole.request('GET', path, { headers: sse })
        await whole.until(`{"n":${progressCount},`)
        await turn()
        const proxy = new CuttingProxy({ to: subject.port, cuts: [{ after: whole.text.length, by }], hurries: true })
        await proxy.listen()
        whole.socket.destroy()
        const arrived = read(proxy.port, path)
        while (!proxy.responses[0]?.includes(`{"n":${progressCount},`)) await turn()
        for (let left = index; left > 0; left--) await turn()
        end.resolve()
        t.equal(subject.faultOf(await within(60_000, arrived), label), undefined, `${way} ${by}`)
        await proxy.close()
      }))
      await subject.assertNothingLeft(t)
    }
  }
})

t.test('who has seen the start of a stream that then fails is told of its failure by a frame, on the route of its command too', async t => {
  const failed = deferred()
  const subject = await Subject.create(t, {
    pace: async () => {
      await failed.promise
      throw Object.assign(new Error('No such file'), { statusCode: 404 })
    }
  })
  const path = await subject.pathTo('keyed', subject.newLabel())
  const client = new RawClient(subject.port)
  client.request('GET', path, { headers: sse })
  await client.until('\n\n')
  client.socket.destroy()
  const [start] = framesOf(client)
  failed.resolve()
  const response = await fetch(`http://127.0.0.1:${subject.port}${path}`, { headers: { ...sse, 'last-event-id': start!.id } })
  t.equal(response.status, 200)
  const frames = readFrames(await response.text())
  t.strictSame(namesOf(frames), ['failed'])
  t.match(frames[0], { id: start!.id.replace('.1', '.2.end'), data: { status: 404, detail: 'No such file' } })
  // Who has seen nothing of it is answered with the status.
  const repeat = await fetch(`http://127.0.0.1:${subject.port}${path}`, { headers: sse })
  t.equal(repeat.status, 404)
  await repeat.text()
  await subject.assertNothingLeft(t)
})

t.test('a client that comes back while its dead connection is still open is held up by that one for its stallTimeoutMs only', async t => {
  // More than what sockets take that nobody reads.
  const to = 600
  const stallTimeoutMs = 400
  const isBack = deferred()
  const subject = await Subject.create(t, {
    text: 'x'.repeat(65_536),
    pace: n => n === 100 ? isBack.promise : turn(),
    plugin: { stallTimeoutMs },
    log: { maxEntries: 150, maxBytes: 100_000_000, maxTotalBytes: 200_000_000 }
  })
  const label = subject.newLabel()
  const proxy = new CuttingProxy({ to: subject.port, cuts: [{ after: 1_000_000, by: 'RST', server: 'stuck' }], hurries: true })
  await proxy.listen()
  const reading = readByPolyfill(proxy.port, `/count?to=${to}&label=${label}&idempotencyKey=0123456789012345678901`)
  while (proxy.requests.length < 2) await turn()
  while (proxy.responses[1]!.length < 100_000) await turn()
  const startedAt = performance.now()
  isBack.resolve()
  t.equal(subject.faultOf(await within(60_000, reading), label, { to })?.slice(0, 100), undefined)
  t.ok(performance.now() - startedAt > stallTimeoutMs / 2, 'it was held up')
  await proxy.close()
  await subject.assertNothingLeft(t)
})

t.test('clients that leave in the middle of a long replay come back to the rest of it', async t => {
  const to = 200
  const subject = await Subject.create(t, { text: 'y'.repeat(10_000), log: { maxBytes: 10_000_000 } })
  const label = subject.newLabel()
  const path = await subject.begin(label, to)
  await Promise.all(Array.from({ length: 12 }, async (_, index) => {
    const cuts = Array.from({ length: 8 }, (_, each) => ({ after: 30_000 + 50_000 * ((index + each) % 7), by: each % 2 === 0 ? 'RST' as const : 'FIN' as const }))
    const proxy = new CuttingProxy({ to: subject.port, cuts, hurries: true })
    await proxy.listen()
    const client = Object.values(clients)[index % 3]!
    t.equal(subject.faultOf(await within(60_000, client(proxy.port, path)), label, { to }), undefined)
    t.equal(proxy.cutCount, 8)
    await proxy.close()
  }))
  await subject.assertNothingLeft(t)
})

/** The frames that have arrived whole. */
function framesOf ({ text }: RawClient): Frame[] {
  const body = partOf(Buffer.from(text, 'latin1')).body.toString()
  return readFrames(body.slice(0, body.lastIndexOf('\n\n') + 2))
}
