import { Type } from '@sinclair/typebox'
import t from 'tap'
import { assertName, defineCommand, defineQuery, isEventName, isSchema, serializersOf } from '../../lib/definition.js'

const input = Type.Object({ id: Type.String() })
const invalid = { code: 'MEDIATOR_ERR_INVALID_DEFINITION', statusCode: 500 }
const badOutput = { code: 'MEDIATOR_ERR_INVALID_OUTPUT', statusCode: 500 }

t.test('makes commands and queries of their parts', async t => {
  const progress = Type.Object({ n: Type.Integer() })
  const result = Type.Integer()
  const command = defineCommand({ name: 'process-files', input, progress, result })
  t.equal(command.kind, 'command')
  t.equal(command.name, 'process-files')
  t.equal(command.input, input)
  t.equal(command.progress, progress)
  t.equal(command.result, result)
  const query = defineQuery({ name: 'watch', input })
  t.equal(query.kind, 'query')
  t.equal(query.progress, undefined)
  t.equal(serializersOf(query).result(null), 'null')
})

t.test('cannot be changed afterwards', async t => {
  const command = defineCommand({ name: 'a', input })
  t.throws(() => { (command as { name: string }).name = 'b' }, TypeError)
})

for (const name of ['a', 'A1', 'process-files', 'files.process_v2', 'a'.repeat(128)]) {
  t.test(`takes the name ${name.slice(0, 20)}`, async t => {
    t.equal(defineCommand({ name, input }).name, name)
  })
}

for (const name of ['', '1a', '-a', '.a', 'a b', 'a/b', 'a:b', 'a\n', 'a\r\nid: 1', 'ä', 'a'.repeat(129), null, undefined, 5, {}]) {
  t.test(`refuses the name ${JSON.stringify(name)?.slice(0, 20)}`, async t => {
    t.throws(() => defineCommand({ name: name as string, input }), invalid)
    t.throws(() => defineQuery({ name: name as string, input }), invalid)
    t.throws(() => assertName(name), invalid)
  })
}

t.test('refuses parts that are no TypeBox schemas', async t => {
  const plain = { type: 'object' } as unknown as typeof input
  for (const bad of [undefined, null, 'string', plain] as unknown as Array<typeof input>) {
    t.throws(() => defineCommand({ name: 'a', input: bad }), { ...invalid, message: /input/ })
  }
  t.throws(() => defineCommand({ name: 'a', input, result: plain }), { ...invalid, message: /result/ })
  t.throws(() => defineCommand({ name: 'a', input, progress: { tick: plain } }), { ...invalid, message: /tick progress/ })
  for (const bad of [null, {}, 5, true] as unknown as Array<typeof input>) {
    t.throws(() => defineCommand({ name: 'a', input, progress: bad }), { ...invalid, message: /progress/ })
  }
})

for (const event of ['start', 'complete', 'failed', 'error', 'open', 'message', '', '1', 'a b', 'a\nid: 1', 'a\r', 'a\0', 'a'.repeat(65), 'ö']) {
  t.test(`refuses the progress event ${JSON.stringify(event).slice(0, 20)}`, async t => {
    t.throws(() => defineCommand({ name: 'a', input, progress: { tick: Type.Null(), [event]: Type.Null() } }), invalid)
  })
}

for (const event of ['tick', 'progress', 'File.done', 'a:b', 'a_b-c', 'a'.repeat(64), 'Error', 'toString', 'constructor']) {
  t.test(`takes the progress event ${event.slice(0, 20)}`, async t => {
    const definition = defineCommand({ name: 'a', input, progress: { [event]: Type.Integer() } })
    t.strictSame(serializersOf(definition).progressNames, [event])
    t.equal(serializersOf(definition).progress(event, 1), '1')
  })
}

for (const kind of ['Date', 'BigInt', 'Undefined', 'Uint8Array', 'Void'] as const) {
  t.test(`refuses Type.${kind}() in what goes out and says what to use`, async t => {
    const schema = Type.Object({ list: Type.Array(Type[kind]()) })
    const error = { ...invalid, message: /Type\.Unsafe<Date>/, cause: Error }
    t.throws(() => defineCommand({ name: 'a', input, result: Type[kind]() }), error)
    t.throws(() => defineCommand({ name: 'a', input, result: schema }), error)
    t.throws(() => defineCommand({ name: 'a', input, progress: schema }), error)
    t.throws(() => defineCommand({ name: 'a', input, progress: { tick: schema } }), error)
  })
}

t.test('checks output against its schema and names what is wrong', async t => {
  const { progress, result } = serializersOf(defineCommand({ name: 'count', input, progress: Type.Object({ n: Type.Integer() }), result: Type.Integer() }))
  t.equal(progress(undefined, { n: 1, extra: true }), '{"n":1}')
  t.throws(() => progress(undefined, { n: '1' }), { ...badOutput, message: 'Command "count" gave a bad progress: n must be integer', cause: Error })
  t.throws(() => result('1'), { ...badOutput, message: 'Command "count" gave a bad result: must be integer' })
})

t.test('checks named progress by its name', async t => {
  const Watch = defineQuery({ name: 'watch', input, progress: { tick: Type.Integer(), tock: Type.String() } })
  const { progress, progressNames } = serializersOf(Watch)
  t.strictSame(progressNames, ['tick', 'tock'])
  t.equal(progress('tick', 1), '1')
  t.equal(progress('tock', '1'), '"1"')
  t.throws(() => progress('tick', '1'), { ...badOutput, message: /bad tick progress/ })
  for (const name of ['boom', 'toString', '__proto__', undefined]) {
    t.throws(() => progress(name, 1), { ...badOutput, message: new RegExp(`"${name}", but declares tick, tock`) })
  }
})

t.test('refuses progress of a definition that declares none', async t => {
  t.throws(() => serializersOf(defineCommand({ name: 'a', input })).progress(undefined, 1), { ...badOutput, message: /declares no progress/ })
})

t.test('lets two definitions share a schema with an $id', async t => {
  const shared = Type.Object({ n: Type.Integer() }, { $id: 'Shared' })
  const first = defineCommand({ name: 'first', input: shared, progress: shared, result: shared })
  const second = defineCommand({ name: 'second', input: shared, progress: { a: shared, b: Type.Array(shared) }, result: shared })
  t.equal(serializersOf(first).result({ n: 1 }), '{"n":1}')
  t.equal(serializersOf(second).progress('b', [{ n: 1 }]), '[{"n":1}]')
})

t.test('knows only definitions that it made', async t => {
  const definition = defineCommand({ name: 'made', input })
  t.throws(() => serializersOf({ ...definition }), { ...invalid, message: /"made" was not made by/ })
  t.throws(() => serializersOf(undefined as unknown as typeof definition), { ...invalid, message: /"undefined" was not made by/ })
})

t.test('tells schemas from records of schemas', async t => {
  t.equal(isSchema(input), true)
  t.equal(isSchema({ tick: input }), false)
  for (const value of [null, undefined, 'a', {}]) t.equal(isSchema(value), false)
})

t.test('tells names that a frame may carry', async t => {
  t.equal(isEventName('progress'), true)
  for (const value of ['', 'a\n', 5, undefined]) t.equal(isEventName(value), false)
})
