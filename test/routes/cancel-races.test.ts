import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { readFrames } from '../../lib/testing/index.js'
import { Count, deferred } from '../support/app.js'
import { ask, createKept, listenTo } from '../support/kept.js'
import { randomFrom } from '../support/random.js'
import { nothing } from '../support/stream-ends.js'

const races = 1_000

t.test('gives 1,000 streams that are cancelled as they complete one end each, and DELETE tells which', { timeout: 120_000 }, async t => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  const random = randomFrom(seed)
  t.comment(`seed ${seed}`)
  const { app, log, ends } = await createKept(t)
  const gates = new Map<string, ReturnType<typeof deferred<void>>>()
  app.mediator.addHandler(Count, async function * ({ to }, { streamId }) {
    const gate = deferred()
    gates.set(streamId, gate)
    yield { n: 1 }
    await gate.promise
    for (let n = 0; n < to; n++) await turn()
    if (to === 2) throw Object.assign(new Error('No'), { statusCode: 409, code: 'NO' })
    return { total: 1 }
  })
  await listenTo(app)
  const won = new Map<string, number>()
  const race = async (n: number): Promise<void> => {
    const url: string = (await app.inject({ method: 'POST', url: '/count', payload: { to: n % 3 }, headers: { prefer: 'respond-async' } })).json().url
    const streamId = url.slice(-22)
    const reading = app.inject({ url })
    const turns = Math.floor(random() * 12)
    const resolve = async (): Promise<void> => {
      for (let each = 0; each < turns; each++) await turn()
      gates.get(streamId)!.resolve()
    }
    const cancel = async (): Promise<string> => {
      for (let each = 0; each < 6; each++) await turn()
      const { statusCode, payload } = await app.inject({ method: 'DELETE', url })
      return `${statusCode} ${payload}`
    }
    const [first, second] = await Promise.all([cancel(), cancel(), resolve()])
    const frames = readFrames(await reading)
    const last = (await log.stat(streamId))!
    const told = JSON.parse(first.slice(4))
    const failure = { failed: 'NO', cancelled: 'MEDIATOR_ERR_CANCELLED' }[told.state as string]
    won.set(told.state, (won.get(told.state) ?? 0) + 1)
    const wrong = [
      first.startsWith('200 ') && first === second,
      last.state === told.state,
      frames.length === 3 && frames[2]!.id === `${streamId}.3.end` && told.lastEventId === frames[2]!.id,
      frames[2]!.event === (told.state === 'completed' ? 'complete' : 'failed'),
      JSON.stringify(told.result ?? told.problem) === JSON.stringify(frames[2]!.data),
      failure === undefined || frames[2]!.data.code === failure
    ].flatMap((holds, index) => holds ? [] : [index])
    if (wrong.length > 0) t.fail(`race ${n}: ${wrong.join()} of ${first}, ${second}, ${JSON.stringify(frames)}`)
  }
  for (let n = 0; n < races; n += 20) await Promise.all(Array.from({ length: 20 }, async (_, index) => await race(n + index)))
  t.comment(Object.fromEntries(won))
  const all = await ends.until(races)
  t.equal(all.length, races)
  t.equal(new Set(all.map(({ streamId }) => streamId)).size, races, 'each is over once')
  for (const [state, reason] of [['completed', 'completed'], ['failed', 'failed'], ['cancelled', 'cancelled']] as const) {
    t.equal(all.filter(end => end.reason === reason).length, won.get(state), reason)
    t.ok(won.get(state)! > 20, `${state} won ${won.get(state)} times`)
  }
  t.strictSame(app.mediator.stats(), nothing)
})

t.test('ends a stream that its own handler cancels before it has written anything', async t => {
  const { app, log, ends } = await createKept(t)
  app.mediator.addHandler(Count, async function * (_input, { streamId }) {
    await log.cancel(streamId)
    yield { n: 1 }
    return { total: 1 }
  })
  const port = await listenTo(app)
  t.match(await ask(port, '/count', { headers: { accept: 'application/json' } }), { status: 409, json: { code: 'MEDIATOR_ERR_CANCELLED' } })
  t.match(await ends.until(1), [{ reason: 'cancelled', frames: 2 }])
})
