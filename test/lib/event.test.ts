import { Type } from '@sinclair/typebox'
import t from 'tap'
import { assertEvent, defineEvent, resolveEventHandlerOptions } from '../../lib/event.js'
import type { EventDefinition } from '../../lib/event.js'

const invalid = { code: 'MEDIATOR_ERR_INVALID_DEFINITION', statusCode: 500 }

t.test('makes an event of its parts, which cannot be changed afterwards', async t => {
  const payload = Type.Object({ fileId: Type.String() })
  const event = defineEvent({ name: 'file.processed', payload })
  t.match({ ...event }, { kind: 'event', name: 'file.processed', payload, topic: undefined })
  t.strictSame(event.create({ fileId: 'a' }), { definition: event, payload: { fileId: 'a' } })
  t.throws(() => { (event as { name: string }).name = 'other' }, TypeError)
})

for (const name of ['', '1', 'file processed', 'file\nprocessed', 'a'.repeat(129), undefined, Symbol('s')]) {
  t.test(`refuses the name ${String(name).slice(0, 20)}`, async t => {
    t.throws(() => defineEvent({ name: name as string, payload: Type.Null() }), invalid)
  })
}

t.test('refuses a payload that is no TypeBox schema', async t => {
  for (const payload of [undefined, null, { type: 'object' }]) {
    t.throws(() => defineEvent({ name: 'a', payload: payload as unknown as ReturnType<typeof Type.Null> }), { ...invalid, message: /payload/ })
  }
})

t.test('tells what is no event', async t => {
  t.doesNotThrow(() => assertEvent(defineEvent({ name: 'a', payload: Type.Null() })))
  for (const value of [undefined, null, {}, { name: 'a' }, { kind: 'command', name: 'a' }]) {
    t.throws(() => assertEvent(value as unknown as EventDefinition), { ...invalid, message: /defineEvent/ })
  }
})

t.test('fills in the policy of an event handler', async t => {
  t.strictSame(resolveEventHandlerOptions('a', {}), { retries: 0, timeoutMs: undefined, onError: 'fail' })
  const onError = (): void => {}
  t.strictSame(resolveEventHandlerOptions('a', { retries: 3, timeoutMs: 5, onError }), { retries: 3, timeoutMs: 5, onError })
})

t.test('names the event whose handler has a policy that cannot work', async t => {
  for (const options of [{ onError: null }, { onError: 'retry' }, { retries: 101 }, { timeoutMs: 2 ** 31 }, { after: 1 }]) {
    t.throws(() => resolveEventHandlerOptions('file.processed', options as object), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: /file\.processed/ })
  }
})
