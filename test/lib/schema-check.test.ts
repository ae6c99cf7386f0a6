import { Type } from '@sinclair/typebox'
import type { ErrorObject } from 'ajv'
import t from 'tap'
import { compileCheck, describeErrors, fieldErrors } from '../../lib/schema-check.js'

function errorsOf (schema: object, value: unknown): ErrorObject[] {
  const check = compileCheck(schema, { allErrors: true })
  if (check(value)) throw new Error('the value passed')
  return check.errors!
}

const Job = Type.Object({
  name: Type.String({ minLength: 1 }),
  operation: Type.Union([Type.Literal('analyze'), Type.Literal('compress')]),
  level: Type.Optional(Type.Union([Type.Literal(1), Type.Literal(null as unknown as string)])),
  items: Type.Array(Type.Object({ 'a/b~c': Type.Integer() }))
}, { additionalProperties: false })

t.test('changes and coerces nothing', async t => {
  const check = compileCheck(Type.Object({ n: Type.Integer(), s: Type.String({ default: 'x' }), list: Type.Optional(Type.Array(Type.String())) }))
  t.equal(check({ n: '12', s: '' }), false)
  t.equal(check({ n: 1, s: '', list: 'a' }), false)
  const value = { n: 1, s: '', more: true }
  t.equal(check(value), true)
  t.strictSame(value, { n: 1, s: '', more: true })
  t.equal(check({ n: 1 }), false, 'a default is filled in only where that is asked for')
  t.equal(check({ n: Infinity, s: '' }), false)
  t.equal(check({ n: NaN, s: '' }), false)
})

t.test('takes two schemas of one $id', async t => {
  t.equal(compileCheck(Type.String({ $id: 'same' }))('a'), true)
  t.equal(compileCheck(Type.Integer({ $id: 'same' }))(1), true)
})

t.test('checks formats, and takes keywords and formats that it does not know', async t => {
  t.equal(compileCheck({ type: 'string', format: 'uuid' })('no uuid'), false)
  t.equal(compileCheck({ type: 'string', format: 'unsafe', 'x-tool': 1 })('anything'), true)
})

t.test('takes keywords that its caller adds', async t => {
  const check = compileCheck({ even: true }, {}, ajv => { ajv.addKeyword({ keyword: 'even', validate: (_: true, value: number) => value % 2 === 0 }) })
  t.equal(check(2), true)
  t.equal(check(3), false)
  t.match(describeErrors(check.errors!), /even/)
})

t.test('names each field that was refused once, by its dotted path', async t => {
  const errors = errorsOf(Job, { name: '', operation: 'explode', items: [{ 'a/b~c': 1 }, { 'a/b~c': 'x' }, {}], unknown: 1 })
  t.strictSame(fieldErrors(errors).sort((a, b) => a.field < b.field ? -1 : 1), [
    { field: 'items.1.a/b~c', message: 'must be integer' },
    { field: 'items.2.a/b~c', message: 'is required' },
    { field: 'name', message: 'must NOT have fewer than 1 characters' },
    { field: 'operation', message: 'must be one of "analyze", "compress"' },
    { field: 'unknown', message: 'is not allowed' }
  ])
})

t.test('has an empty field for the whole value', async t => {
  t.strictSame(fieldErrors(errorsOf(Job, null)), [{ field: '', message: 'must be object' }])
  t.equal(describeErrors(errorsOf(Job, null)), 'must be object')
})

t.test('lists what an enum or a union of literals allows', async t => {
  t.strictSame(fieldErrors(errorsOf({ enum: ['a', 1, null] }, 'b')), [{ field: '', message: 'must be one of "a", 1, null' }])
  t.strictSame(fieldErrors(errorsOf(Type.Union([Type.Literal('a'), Type.Literal(1)]), 'b')), [{ field: '', message: 'must be one of "a", 1' }])
})

t.test('names keys refused by other keywords', async t => {
  t.strictSame(fieldErrors([{ keyword: 'dependentRequired', instancePath: '', schemaPath: '', params: { property: 'a', missingProperty: 'b' } }]),
    [{ field: 'b', message: 'is required' }])
  t.strictSame(fieldErrors(errorsOf(Type.Object({}, { propertyNames: { maxLength: 1 } }), { ab: 1 })).map(({ field }) => field), ['', 'ab'])
  t.strictSame(fieldErrors([{ keyword: 'unevaluatedProperties', instancePath: '/a', schemaPath: '', params: { unevaluatedProperty: 'b' } }]),
    [{ field: 'a.b', message: 'is not allowed' }])
})

t.test('shortens the name of a field, which may be as long as what a client sends', async t => {
  const closed = Type.Object({}, { additionalProperties: false })
  for (const [length, expected] of [[256, 'x'.repeat(256)], [257, `${'x'.repeat(255)}…`], [100_000, `${'x'.repeat(255)}…`]] as const) {
    t.strictSame(fieldErrors(errorsOf(closed, { ['x'.repeat(length)]: 1 })), [{ field: expected, message: 'is not allowed' }])
  }
})

t.test('names the keyword where an error has no message', async t => {
  t.strictSame(fieldErrors([{ keyword: 'even', instancePath: '', schemaPath: '#/even', params: {} }]), [{ field: '', message: 'fails even' }])
})

t.test('describes all errors in one line', async t => {
  t.equal(describeErrors(errorsOf(Type.Object({ a: Type.Integer(), b: Type.String() }), { a: 'x' })), 'b is required; a must be integer')
})
