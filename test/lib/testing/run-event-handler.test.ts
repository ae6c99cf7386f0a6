import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineCommand } from '../../../lib/definition.js'
import { defineEvent } from '../../../lib/event.js'
import type { EventContext } from '../../../lib/event.js'
import { RecordingBroker, runEventHandler } from '../../../lib/testing/index.js'
import { deferred, rejection } from '../support.js'

const Packed = defineEvent({ name: 'packed', payload: Type.Object({ id: Type.String() }) })
const Audited = defineEvent({ name: 'audited', payload: Type.String() })
const Told = defineEvent({ name: 'told', topic: 'tales', payload: Type.Object({ id: Type.String() }) })
const Print = defineCommand({ name: 'print', input: Type.String(), result: Type.String() })

t.test('tells the follow-ups, not the event itself, and the logs', async t => {
  const { events, logs } = await runEventHandler(Packed, ({ payload: { id } }, { emit, log }) => {
    emit(Audited, id)
    if (id === 'a') emit(Packed, { id: 'b' })
    log.info('audited %s', id)
  }, { id: 'a' })
  t.strictSame(events, [{ name: 'audited', payload: 'a' }, { name: 'packed', payload: { id: 'b' } }, { name: 'audited', payload: 'b' }])
  t.match(logs, [{ level: 'info', msg: 'audited a', event: 'packed' }, { msg: 'audited b' }])
})

t.test('fills its lists while the handler runs, which has started at once', async t => {
  const gate = deferred()
  const run = runEventHandler(Packed, async (_event, { emit, log }) => {
    emit(Audited, 'a')
    log.warn('waiting')
    await gate.promise
  }, { id: 'a' })
  t.strictSame(run.events, [{ name: 'audited', payload: 'a' }])
  t.match(run.logs, [{ msg: 'waiting' }])
  gate.resolve()
  const outcome = await run
  t.equal(outcome.events, run.events)
  t.equal(outcome.logs, run.logs)
})

t.test('rejects with what the handler threw', async t => {
  for (const thrown of [new Error('out of stock'), 'text', undefined]) {
    const run = runEventHandler(Packed, (_event, { emit }) => {
      emit(Audited, 'a')
      throw thrown
    }, { id: 'a' })
    t.strictSame(await run.then(() => 'resolved', (error: unknown) => ({ error })), { error: thrown })
    t.equal(run.events.length, 1, 'what it emitted is a fact')
    t.match(run.logs, [{ level: 'error', msg: 'event handler failed', err: thrown ?? 'undefined' }])
  }
})

t.test('runs it again for an event of its own name, until the depth guard stops it', async t => {
  const run = runEventHandler(Packed, ({ payload }, { emit }) => { emit(Packed, payload) }, { id: 'a' })
  t.match(await rejection(run), { code: 'MEDIATOR_ERR_EVENT_DEPTH' })
  t.equal(run.events.length, 15)
})

t.test('rejects with an AggregateError where several failed', async t => {
  const error = await rejection(runEventHandler(Packed, () => { throw new Error('one') }, { id: 'a' }, {
    register: mediator => mediator.addEventHandler(Packed, () => { throw new Error('two') })
  }))
  t.match(error, { errors: [{ message: 'one' }, { message: 'two' }] })
})

t.test('rejects with what else refuses the event', async t => {
  t.match(await rejection(runEventHandler(Told, () => {}, { id: 5 as unknown as string })), { code: 'MEDIATOR_ERR_INVALID_PAYLOAD' })
  t.match(await rejection(runEventHandler(Packed, null as never, { id: 'a' })), { code: 'MEDIATOR_ERR_INVALID_HANDLER' })
  t.match(await rejection(runEventHandler(Print as unknown as typeof Packed, () => {}, { id: 'a' })), { code: 'MEDIATOR_ERR_INVALID_DEFINITION' })
})

t.test('takes the options of the policy', async t => {
  let attempts = 0
  const { logs } = await runEventHandler(Packed, () => {
    attempts++
    if (attempts < 2) throw new Error('busy')
  }, { id: 'a' }, { retries: 1 })
  t.equal(attempts, 2)
  t.match(logs, [{ level: 'warn', attempt: 1, retriesLeft: 1, err: { message: 'busy' } }])

  t.match(await runEventHandler(Packed, () => { throw new Error('no') }, { id: 'a' }, { onError: 'log' }), { logs: [{ level: 'error', err: { message: 'no' } }] })
  const timedOut = runEventHandler(Packed, async (_event, { signal }) => {
    await new Promise(resolve => { signal.addEventListener('abort', resolve) })
  }, { id: 'a' }, { timeoutMs: 5 })
  t.match(await rejection(timedOut), { code: 'MEDIATOR_ERR_EVENT_HANDLER_TIMEOUT' })
  const decided: unknown[] = []
  await runEventHandler(Packed, () => { throw new Error('no') }, { id: 'a' }, { onError: (_error, { payload: { id } }) => { decided.push(id) } })
  t.strictSame(decided, ['a'])
  t.match(await rejection(runEventHandler(Packed, () => {}, { id: 'a' }, { retry: 1 } as object)), { code: 'MEDIATOR_ERR_INVALID_OPTIONS' })
})

t.test('takes classes and names of the scope, the caller, the commands that are called, and a broker', async t => {
  const seen: Array<Pick<EventContext, 'caller' | 'scope'>> = []
  class Auditor {
    readonly #prefix: string
    constructor (prefix: string) { this.#prefix = prefix }
    async handle ({ payload }: { payload: { id: string } }, { caller, scope, emit, mediator }: EventContext): Promise<void> {
      seen.push({ caller, scope })
      emit(Audited, this.#prefix + await mediator.send(Print, payload.id))
    }
  }
  const caller = { userId: 'ada' }
  const scope = { resolve: (target: typeof Auditor | string) => typeof target === 'string' ? new Auditor(`${target}: `) : new target('class: ') } // eslint-disable-line new-cap
  const messageBroker = new RecordingBroker()
  const options = {
    caller,
    scope: () => scope,
    messageBroker,
    register: (mediator: Parameters<NonNullable<NonNullable<Parameters<typeof runEventHandler>[3]>['register']>>[0]) => {
      mediator.addHandler(Print, text => text.toUpperCase())
    }
  }
  t.strictSame((await runEventHandler(Packed, Auditor, { id: 'a' }, options)).events, [{ name: 'audited', payload: 'class: A' }])
  t.strictSame((await runEventHandler(Told, 'auditor', { id: 'a' }, options)).events, [{ name: 'audited', payload: 'auditor: A' }])
  t.equal(seen[0]!.caller, caller)
  t.equal(seen[0]!.scope, scope)
  t.strictSame(messageBroker.payloadsOf(Told), [{ id: 'a' }])
})

t.test('ends when its follow-ups and calls have settled', async t => {
  const done: string[] = []
  await runEventHandler(Packed, (_event, { emit, mediator }) => {
    emit(Audited, 'a')
    void mediator.send(Print, 'a')
  }, { id: 'a' }, {
    register: mediator => {
      mediator.addHandler(Print, async text => {
        await turn()
        done.push('call')
        return text
      })
      mediator.addEventHandler(Audited, async () => {
        await turn()
        done.push('follow-up')
      })
    }
  })
  t.strictSame(done.sort(), ['call', 'follow-up'])
})
