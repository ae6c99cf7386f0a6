import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { renameSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { Http1Client } from '../support/wire-client.js'
import { startServer } from './started-server.js'

// A tenth of a second each: more than any test waits for.
const orders = Array.from({ length: 1_000 }, (_, index) => ({ orderId: `A-${index}`, email: 'ada@example.com', items: [{ product: 'lamp' }] }))

/** The example app in several processes, and what their common log says. */
class RunningCluster {
  readonly child: ChildProcess
  readonly #output: () => string
  #requests = 0

  constructor (t: Test, env: Record<string, string>) {
    const { child, output } = startServer(t, { PORT: '0', ...env })
    this.child = child
    this.#output = output
  }

  /** The lines of the log so far that say this. */
  lines (msg: string): any[] {
    return this.#output().split('\n').filter(line => line.startsWith('{') && line.endsWith('}')).map(line => JSON.parse(line)).filter(line => line.msg === msg)
  }

  /** Resolves with the first thing that the output shows. */
  async shows<Shown> (find: () => Shown | undefined): Promise<Shown> {
    for (;;) {
      const shown = find()
      if (shown !== undefined) return shown
      await once(this.child.stdout!, 'data')
    }
  }

  /** Resolves when so many processes have begun to listen. */
  async listening (times: number): Promise<Set<number>> {
    return await this.shows(() => {
      const pids = new Set<number>(Array.from(this.#output().matchAll(/"pid":(\d+),.*"Server listening at/g), ([, pid]) => Number(pid)))
      return pids.size >= times ? pids : undefined
    })
  }

  /** Its address, once it has been printed. */
  async url (): Promise<string> {
    return await this.shows(() => /^Open (http:\/\/127\.0\.0\.1:\d+)\//m.exec(this.#output())?.[1])
  }

  /** Starts a command that takes minutes, and finds out which process serves it. */
  async stream (): Promise<{ client: Http1Client, pid: number }> {
    const port = Number(new URL(await this.url()).port)
    const path = `/commands/process-orders?request=${++this.#requests}`
    const client = new Http1Client('http/1.1', port, { path, body: { orders } })
    await client.until('event: progress')
    const { pid } = await this.shows(() => this.lines('incoming request').find(({ req }) => req.url === path))
    return { client, pid }
  }

  /** Streams until each of so many processes serves two. */
  async streams (processes: number): Promise<Map<number, Http1Client[]>> {
    const streams = new Map<number, Http1Client[]>()
    while (streams.size < processes || [...streams.values()].some(({ length }) => length < 2)) {
      const { client, pid } = await this.stream()
      streams.set(pid, [...streams.get(pid) ?? [], client])
    }
    return streams
  }
}

/** The name of the last frame that arrived. */
function lastOf ({ text }: Http1Client): string | undefined {
  return [...text.matchAll(/^event: (\w+)$/gm)].at(-1)?.[1]
}

t.test('two workers', async t => {
  const cluster = new RunningCluster(t, { WORKERS: '2' })

  t.test('knows a stream that is kept in the process only that runs it', async t => {
    await cluster.listening(2)
    const url = await cluster.url()
    t.equal(cluster.lines('each worker has a database of its own: share one with DATABASE_URL').length, 1, 'what differs is said')
    const headers = { 'content-type': 'application/json', prefer: 'respond-async' }
    const job = await fetch(`${url}/jobs/process-files`, { method: 'POST', headers, body: JSON.stringify({ fileIds: ['orders.csv'] }) })
    t.equal(job.status, 202)
    const statuses = new Set<number>()
    // A connection each: they are dealt out in turn.
    while (statuses.size < 2) {
      const response = await fetch(url + job.headers.get('location')!, { headers: { connection: 'close' } })
      await response.text()
      statuses.add(response.status)
    }
    t.same([...statuses].sort(), [200, 404])
  })

  t.test('replaces a worker that was killed, and the streams of the others go on', async t => {
    const first = await cluster.listening(2)
    const streams = await cluster.streams(2)
    t.same(new Set(streams.keys()), first)

    const [killed, survivor] = [...first] as [number, number]
    process.kill(killed, 'SIGKILL')
    await Promise.all(streams.get(killed)!.map(async client => await client.closed()))
    for (const client of streams.get(killed)!) t.equal(lastOf(client), 'progress', 'was cut')
    t.match(await cluster.shows(() => cluster.lines('a worker died, and another one starts')[0]), { worker: killed, cause: 'SIGKILL' })
    const all = await cluster.listening(3)
    const [replacement] = [...all].filter(pid => !first.has(pid)) as [number]
    t.same(new Set((await cluster.streams(2)).keys()), new Set([survivor, replacement]))

    for (const client of streams.get(survivor)!) {
      const arrived = [...client.text.matchAll(/^event: progress$/gm)].length
      await client.until(`"orderId":"A-${arrived + 3}"`)
      t.equal(lastOf(client), 'progress', 'goes on')
    }
  })

  t.test('ends all streams of all workers with a terminal frame, and itself with code 0', async t => {
    // Those of the tests before, whether they live or not.
    const pids = await cluster.listening(3)
    const clients = [...(await cluster.streams(2)).values()].flat()
    cluster.child.kill('SIGTERM')
    const [[code]] = await Promise.all([once(cluster.child, 'exit'), ...clients.map(async client => await client.closed())])
    t.equal(code, 0)
    for (const client of clients) {
      t.equal(lastOf(client), 'failed')
      t.match(client.text, 'MEDIATOR_ERR_SHUTTING_DOWN')
    }
    for (const pid of pids) t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, 'no worker is left behind')
  })
})

t.test('waits longer and longer before it replaces workers that die at their start', async t => {
  const folder = t.testdir({ files: { 'a.txt': 'one\n' } })
  const cluster = new RunningCluster(t, { WORKERS: '2', FILES: `${folder}/files` })
  const [killed, survivor] = [...await cluster.listening(2)] as [number, number]
  renameSync(`${folder}/files`, `${folder}/away`)
  process.kill(killed, 'SIGKILL')
  const deaths = await cluster.shows(() => {
    const lines = cluster.lines('a worker died, and another one starts')
    return lines.length >= 3 ? lines : undefined
  })
  const delays = deaths.map(({ delayMs }) => delayMs)
  // The first one may have lived for a while on a slow machine.
  t.ok(delays[0] === 0 || delays[0] === 100, `${delays}`)
  t.same(delays.slice(1, 3), delays[0] === 0 ? [100, 200] : [200, 400])
  t.same(deaths.slice(1, 3).map(({ cause }) => cause), [1, 1])
  renameSync(`${folder}/away`, `${folder}/files`)
  t.equal((await cluster.listening(3)).size, 3)
  t.ok((await cluster.streams(2)).has(survivor), 'has served all the time')
})

t.test('says once what keeps its workers from starting', async t => {
  const { child, output, errors } = startServer(t, { PORT: '0', WORKERS: '3', FILES: '/nowhere', DATABASE_URL: 'postgres://localhost/people' })
  const [code] = await once(child, 'close')
  t.equal(code, 1)
  t.match(errors(), /^FILES is "\/nowhere": [^\n]*\n$/)
  t.match(output(), 'each worker has uploads, imports')
  t.notMatch(output(), 'DATABASE_URL')
})
