import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { EventSource as PolyfilledEventSource } from 'eventsource'
import { EventSource as UndiciEventSource } from 'undici'
import { commandRoute } from '../index.js'
import { Count, Watch, createApp, deferred, listen } from './support/app.js'
import { readFrames } from '../lib/testing/index.js'
import { namesOf } from './support/frames.js'

const run = promisify(execFile)

async function createServer (t: Parameters<typeof createApp>[0]): Promise<{ port: number, started: number[] }> {
  const { app } = await createApp(t)
  const started: number[] = []
  app.mediator.addHandler(Count, async function * ({ to }) {
    started.push(to)
    for (let n = 1; n <= to; n++) yield { n, text: 'ä\u2028😀' }
    return { total: to }
  })
  app.mediator.addHandler(Watch, async function * ({ to }, { resumeAfter }) {
    started.push(to)
    yield { event: 'tock', data: { after: resumeAfter ?? null } }
    for (let n = 1; n <= to; n++) yield { event: 'tick', data: { n } }
  })
  app.route(commandRoute(Count, { url: '/count' }))
  app.route(commandRoute(Count, { url: '/count', method: 'GET' }))
  app.route(commandRoute(Watch, { url: '/watch', method: 'GET' }))
  return { port: await listen(app), started }
}

const curlMissing = process.env['CI'] === undefined && spawnSync('curl', ['--version']).error !== undefined && 'curl is not installed'

t.test('curl -N prints the frames', { skip: curlMissing }, async t => {
  const { port } = await createServer(t)
  const { stdout } = await run('curl', ['-sN', '-X', 'POST', `http://127.0.0.1:${port}/count`,
    '-H', 'content-type: application/json', '-d', '{"to":2}'])
  t.strictSame(namesOf(readFrames(stdout)), ['start', 'progress', 'progress', 'complete'])
})

for (const [name, EventSource] of [['the eventsource package', PolyfilledEventSource], ['undici', UndiciEventSource]] as const) {
  t.test(`EventSource of ${name} gets every event of a command once, and its reconnect starts nothing`, async t => {
    const { port, started } = await createServer(t)
    const source = new EventSource(`http://127.0.0.1:${port}/count?to=3`)
    const events: unknown[] = []
    const failed = deferred()
    for (const type of ['start', 'progress', 'complete', 'failed']) {
      source.addEventListener(type, event => {
        const { data, lastEventId } = event as unknown as MessageEvent
        events.push([type, lastEventId.replace(/^[\w-]{22}/, 'id'), type === 'start' ? 'start' : JSON.parse(data)])
      })
    }
    // Not closed on purpose: it comes back with the terminal's id, is answered 204, and gives up for good.
    source.addEventListener('error', () => { if (source.readyState === 2) failed.resolve() })
    await failed.promise
    const text = 'ä\u2028😀'
    t.strictSame(events, [
      ['start', 'id.1', 'start'],
      ['progress', 'id.2', { n: 1, text }], ['progress', 'id.3', { n: 2, text }], ['progress', 'id.4', { n: 3, text }],
      ['complete', 'id.5.end', { total: 3 }]
    ])
    t.strictSame(started, [3])
    source.close()
  })
}

t.test('the named events of a query reach their listeners', async t => {
  const { port } = await createServer(t)
  const source = new PolyfilledEventSource(`http://127.0.0.1:${port}/watch?to=2`)
  const ticks: number[] = []
  source.addEventListener('tick', ({ data }) => ticks.push(JSON.parse(data).n))
  await new Promise(resolve => source.addEventListener('complete', resolve))
  source.close()
  t.strictSame(ticks, [1, 2])
})
