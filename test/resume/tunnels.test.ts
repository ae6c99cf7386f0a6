import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { FastifyServerOptions } from 'fastify'
import t from 'tap'
import type { StreamingMediatorOptions } from '../../index.js'
import { watchTimers } from '../disconnects/live-timers.js'
import { randomFrom } from '../support/random.js'
import { CuttingProxy } from './cutting-proxy.js'
import type { Cut } from './cutting-proxy.js'
import { clients, readByHand, readByHttp2, readByParts, readOnceByHttp2 } from './resuming-clients.js'
import type { ResumingClient } from './resuming-clients.js'
import { Subject, within } from './subject.js'

// RIDES takes more streams through tunnels; those of a failure come again with their SEED.
const { SEED: seed = String(Date.now() % 2 ** 31), RIDES: rides = '120' } = process.env
const atOnce = 50

t.setTimeout(rides === '120' ? 200_000 : 3_600_000)

interface Ride {
  readonly cuts: readonly Cut[]
  readonly way: 'stream url' | 'keyed'
  readonly client: string
}

interface RideOptions {
  readonly by: Readonly<Record<string, ResumingClient>>
  readonly count: number
  /** Of a connection, in bytes. */
  readonly longest: number
  readonly server?: FastifyServerOptions
  readonly plugin?: StreamingMediatorOptions
}

const http2 = { http2: true, http2SessionTimeout: 200 } as FastifyServerOptions

// Handlers that take none, one or many turns of the event loop, and some milliseconds, before each of their frames.
function paceFrom (random: () => number): (n: number, label: string) => Promise<unknown> | undefined {
  return (_n, label) => {
    const kind = label.length % 2 === 0 ? random() : random() * 0.8
    if (kind < 0.4) return undefined
    return kind < 0.8 ? turn() : sleep(Math.ceil(random() * 12))
  }
}

async function ride (t: Parameters<typeof Subject.create>[0], { by, count, longest, server, plugin }: RideOptions): Promise<void> {
  t.comment(`SEED=${seed} RIDES=${rides}`)
  const random = randomFrom(Number(seed))
  const subject = await Subject.create(t, { pace: paceFrom(random), ...server !== undefined && { server }, ...plugin !== undefined && { plugin } })
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!
  const plans = Array.from({ length: count }, (): Ride => ({
    way: pick(['stream url', 'keyed']),
    client: pick(Object.keys(by)),
    // An EventSource that was cut before the line with the time waits for three seconds: seldom, here.
    cuts: Array.from({ length: 1 + Math.floor(random() * 6) }, () => ({
      after: Math.floor(random() < 0.1 ? random() * 400 : 400 + random() * (longest - 400)),
      by: pick(['FIN', 'RST']),
      server: pick([undefined, 'read', 'stuck'])
    }))
  }))
  const faults: string[] = []
  let [cuts, next] = [0, 0]
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < plans.length) {
      const plan = plans[next++]!
      const label = subject.newLabel()
      const proxy = new CuttingProxy({ to: subject.port, cuts: plan.cuts, hurries: true })
      await proxy.listen()
      try {
        const arrived = await within(60_000, by[plan.client]!(proxy.port, await subject.pathTo(plan.way, label)))
        const fault = subject.faultOf(arrived, label)
        if (fault !== undefined) faults.push(`${JSON.stringify(plan)}: ${fault}`)
      } catch (error) {
        faults.push(`${JSON.stringify(plan)}: ${String(error)}`)
      }
      cuts += proxy.cutCount
      await proxy.close()
    }
  }))
  t.comment(`${cuts} cuts of ${plans.length} streams in ${Math.round(performance.now() - startedAt)} ms`)
  for (const fault of faults.slice(0, 10)) t.comment(fault)
  t.equal(faults.length, 0, `run it again with SEED=${seed}`)
  t.ok(cuts > count, 'more cuts than streams')
  await subject.assertNothingLeft(t)
}

t.test('streams whose handlers are still at work are cut again and again, and every client gets each frame once', async t => {
  await ride(t, { by: clients, count: Number(rides), longest: 900 })
})

t.test('streams are cut again and again over HTTP/2', async t => {
  await ride(t, { by: { 'HTTP/2': readByHttp2 }, count: Math.ceil(Number(rides) / 3), longest: 900, server: http2 })
})

t.test('clients of HTTP/2 that destroy their sessions again and again get each frame once', async t => {
  const subject = await Subject.create(t, { pace: n => n % 4 === 0 ? turn() : undefined, server: http2 })
  let reads = 0
  await Promise.all(Array.from({ length: 40 }, async (_, index) => {
    const label = subject.newLabel()
    const path = await subject.pathTo('keyed', label)
    const arrived = await within(60_000, readByParts(async lastEventId => {
      reads++
      return await readOnceByHttp2(subject.port, path, lastEventId, 300 + 10 * index)
    }))
    t.equal(subject.faultOf(arrived, label), undefined)
  }))
  t.ok(reads > 40 * 3, `${reads} sessions`)
  await subject.assertNothingLeft(t)
})

t.test('a stream with a grace goes on for a client that comes back within it, and its timer goes with it', async t => {
  const timers = watchTimers()
  await ride(t, { by: { 'raw HTTP': readByHand }, count: 40, longest: 900, plugin: { onDisconnect: { graceMs: 30_000 } } })
  t.equal(timers.size, 0)
})

t.test('EventSources come back after the two seconds that they were told', async t => {
  const subject = await Subject.create(t)
  await Promise.all(([['eventsource', 'FIN'], ['eventsource', 'RST'], ['undici', 'FIN'], ['undici', 'RST']] as const).map(async ([client, by]) => {
    const label = subject.newLabel()
    const proxy = new CuttingProxy({ to: subject.port, cuts: [{ after: 900, by }] })
    await proxy.listen()
    const startedAt = performance.now()
    const arrived = await within(60_000, clients[client](proxy.port, await subject.pathTo('stream url', label)))
    t.equal(subject.faultOf(arrived, label), undefined, `${client} ${by}`)
    // After the cut, and after the end.
    t.ok(performance.now() - startedAt >= 3_990, 'it has waited twice')
    await proxy.close()
  }))
  await subject.assertNothingLeft(t)
})
