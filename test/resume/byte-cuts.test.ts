import t from 'tap'
import { randomFrom } from '../support/random.js'
import { RawClient } from '../support/raw-client.js'
import { CuttingProxy } from './cutting-proxy.js'
import type { Cut } from './cutting-proxy.js'
import { clients } from './resuming-clients.js'
import { Subject, within } from './subject.js'
import type { Way } from './subject.js'

// CUTS=all cuts after every byte, for every client; the sample of a failure comes again with its SEED.
const { SEED: seed = String(Date.now() % 2 ** 31), CUTS: sample = '600' } = process.env
const atOnce = 150

interface Trial extends Pick<Cut, 'after' | 'by'> {
  readonly way: Way
  readonly client: keyof typeof clients
}

t.setTimeout(sample === '600' ? 200_000 : 3_600_000)

t.test('a stream of 20 frames that is cut after any byte is resumed by every client without a gap, a repeat or a second run', async t => {
  const subject = await Subject.create(t)
  const trials: Trial[] = []
  for (const way of ['stream url', 'keyed', 'keyless'] as const) {
    const { length } = await record(subject, way)
    for (const client of Object.keys(clients) as Array<keyof typeof clients>) {
      // What leaves in several writes is longer by the lengths of its chunks. Those that are not are not cut.
      for (let after = 0; after < Math.ceil(length / 128) * 128; after++) trials.push({ way, client, by: 'FIN', after }, { way, client, by: 'RST', after })
    }
  }
  const total = trials.length
  const chosen = sample === 'all' ? trials : sampleOf(trials, Number(sample))
  t.comment(`SEED=${seed} CUTS=${sample}: ${chosen.length} of ${total} places`)

  const faults: string[] = []
  let cuts = 0
  const run = async (trial: Trial): Promise<void> => {
    const { way, client, by, after } = trial
    const label = subject.newLabel()
    const path = await subject.pathTo(way, label)
    const proxy = new CuttingProxy({ to: subject.port, cuts: [{ by, after }], hurries: true })
    await proxy.listen()
    const describe = (fault: string): void => { faults.push(`${JSON.stringify(trial)}: ${fault}`) }
    try {
      const arrived = await within(60_000, clients[client](proxy.port, path))
      cuts += proxy.cutCount
      // Whoever was cut before the first frame was whole has no id to send, and nothing else says that it is the same stream.
      const starts = startsOf(proxy)
      const fault = subject.faultOf(arrived, label, { runs: way === 'keyless' ? starts : 1 })
      if (fault !== undefined) describe(fault)
      const hadFrame = proxy.responses[0]!.includes('\n\n')
      if (!hadFrame && starts !== 2) describe(`${starts} requests without an id, though the first frame was cut`)
      // What an EventSource has received and not yet read when the connection breaks is lost to it.
      if (hadFrame && starts !== 1 && (starts > 2 || client === 'raw HTTP')) describe(`${starts} requests without an id, though the first frame was whole`)
    } catch (error) {
      describe(String(error))
    } finally {
      await proxy.close()
    }
  }
  const startedAt = performance.now()
  let next = 0
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < chosen.length) await run(chosen[next++]!)
  }))
  t.comment(`${cuts} cuts in ${Math.round(performance.now() - startedAt)} ms`)
  for (const fault of faults.slice(0, 10)) t.comment(fault)
  t.equal(faults.length, 0, `run it again with SEED=${seed}`)
  t.ok(cuts > chosen.length * 0.9, 'most places are within the response')
  await subject.assertNothingLeft(t)
})

function sampleOf (trials: Trial[], count: number): Trial[] {
  const random = randomFrom(Number(seed))
  return Array.from({ length: Math.min(count, trials.length) }, () => trials.splice(Math.floor(random() * trials.length), 1)[0]!)
}

/** How many of the requests that came through say of no frame that they have seen it. Some share a connection. */
function startsOf ({ requests }: CuttingProxy): number {
  const all = requests.join('')
  return (all.match(/^GET /gm) ?? []).length - (all.match(/^last-event-id: /gim) ?? []).length
}

/** A response that is not cut. */
async function record (subject: Subject, way: Way): Promise<string> {
  const path = await subject.pathTo(way, subject.newLabel())
  const client = new RawClient(subject.port)
  client.request('GET', path, { headers: { accept: 'text/event-stream' } })
  await client.until('data: {"total":18}\n\n')
  client.socket.destroy()
  return client.text
}
