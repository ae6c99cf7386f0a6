import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { StreamingMediator, defineCommand, defineEvent } from '../../index.js'
import { answer } from '../answer.js'
import { heapUsed } from './heap.js'
import { Work, work, workEvents } from './workload.js'

// Streams that do not come to their plain end: what they leave behind would be found in a process that runs for weeks.
const FailingWork = defineCommand({ name: 'failing-work', input: Type.Object({}), progress: Type.Integer() })
const Follow = defineCommand({ name: 'follow', input: Type.Object({ by: Type.Integer() }) })
const payload = Type.Object({})
const Refused = defineEvent({ name: 'refused', payload })
const Called = defineEvent({ name: 'called', payload })
const Guarded = defineEvent({ name: 'guarded', payload })
const followUps = [Refused, Called, Guarded]

// Failures are logged, and here they are the point.
const mediator = new StreamingMediator({ logger: pino({ level: 'silent' }) })
mediator.addHandler(Work, work)
mediator.addHandler(FailingWork, async function * (_input, { emit }) {
  for (const event of workEvents) emit(event, { n: 0 })
  yield 1
  throw new Error('the work failed')
})
mediator.addHandler(Follow, ({ by }, { emit }) => { emit(followUps[by]!, {}) })
for (const event of workEvents) mediator.addEventHandler(event, async () => {})
mediator.addEventHandler(Refused, async () => { throw new Error('the event was refused') })
mediator.addEventHandler(Called, async (_event, context) => { await context.mediator.send(Work, { yields: 1 }) })
mediator.addEventHandler(Guarded, async (_event, { signal, emit }) => {
  signal.throwIfAborted()
  emit(Called, {})
}, { retries: 1, timeoutMs: 1_000 })

// One signal for all, as a server has one for its shutdown.
const { signal } = new AbortController()

const endings: ReadonlyArray<() => Promise<unknown>> = [
  async function left () {
    for await (const { n } of mediator.stream(Work, { yields: 3 }, { signal })) if (n === 1) break
  },
  async function cancelled () {
    const controller = new AbortController()
    for await (const progress of mediator.stream(Work, { yields: 3 }, { signal: controller.signal })) {
      void progress
      controller.abort()
    }
  },
  async function neverRead () { mediator.stream(Work, { yields: 3 }, { signal }).abort() },
  async function drained () { await mediator.send(Work, { yields: 3 }, { signal }) },
  async function thrown () { await mediator.send(FailingWork, {}, { signal }) },
  async function refused () { await mediator.send(Follow, { by: 0 }, { signal }) },
  async function called () { await mediator.send(Follow, { by: 1 }, { signal }) },
  async function guarded () { await mediator.send(Follow, { by: 2 }, { signal }) },
  async function published () { await mediator.publish(Guarded, {}) }
]
const rejecting = new Set(['cancelled', 'thrown', 'refused'])

answer(async (streams: number) => {
  for (let n = 0; n < streams; n++) {
    const ending = endings[n % endings.length]!
    const rejected = await ending().then(() => false, () => true)
    if (rejected !== rejecting.has(ending.name)) throw new Error(`a stream that was ${ending.name} ${rejected ? 'rejected' : 'did not reject'}`)
  }
  const used = await heapUsed()
  if (mediator.stats().streams !== 0) throw new Error(`${mediator.stats().streams} streams are still open`)
  return used
})
