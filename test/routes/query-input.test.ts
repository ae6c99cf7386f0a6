import t from 'tap'
import { Type } from '@sinclair/typebox'
import type { TSchema } from '@sinclair/typebox'
import { compileTextReader, whyNotFlat } from '../../routes/query-input.js'

const readTexts = (schema: TSchema, given: unknown): Record<string, unknown> => compileTextReader(schema)(given)
const member = (schema: TSchema, text: unknown): unknown => readTexts(Type.Object({ m: schema }), { m: text })['m']

const table: Array<[string, TSchema, unknown, unknown]> = [
  ['a decimal integer', Type.Integer(), '12', 12],
  ['a negative one', Type.Integer(), '-12', -12],
  ['a fraction', Type.Number(), '1.5', 1.5],
  ['no hexadecimal number', Type.Integer(), '0x10', '0x10'],
  ['no exponent', Type.Number(), '1e3', '1e3'],
  ['no leading zero', Type.Integer(), '007', '007'],
  ['no padded number', Type.Integer(), ' 1', ' 1'],
  ['no empty number', Type.Integer(), '', ''],
  ['no number that JavaScript cannot hold', Type.Integer(), '9007199254740993', '9007199254740993'],
  ['true', Type.Boolean(), 'true', true],
  ['false', Type.Boolean(), 'false', false],
  ['no other boolean', Type.Boolean(), '1', '1'],
  ['a text that looks like a number', Type.String(), '12', '12'],
  ['one value as a list', Type.Array(Type.String()), 'a', ['a']],
  ['a list', Type.Array(Type.Integer()), ['1', '2'], [1, 2]],
  ['no list where one value is wanted', Type.Integer(), ['1', '2'], ['1', '2']],
  ['a list of unions', Type.Array(Type.Union([Type.Literal(1), Type.Literal('a')])), ['1', 'a', '2'], [1, 'a', '2']],
  ['a list without items', Type.Unsafe({ type: 'array' }), '1', ['1']],
  ['a literal number', Type.Literal(5), '5', 5],
  ['a literal text', Type.Literal('5'), '5', '5'],
  ['an enum', Type.Unsafe({ enum: [1, 'x'] }), '1', 1],
  ['a text of an enum', Type.Unsafe({ enum: [1, 'x'] }), 'x', 'x'],
  ['nothing that an enum lacks', Type.Unsafe({ enum: [1, 'x'] }), '2', '2'],
  ['a text where a union allows one', Type.Union([Type.Integer(), Type.String()]), '5', '5'],
  ['the first kind of a union that fits', Type.Union([Type.Boolean(), Type.Integer()]), '5', 5],
  ['a nested union', Type.Union([Type.Boolean(), Type.Union([Type.Integer(), Type.Null()])]), '5', 5],
  ['anything as a text', Type.Any(), '5', '5'],
  ['no null', Type.Null(), 'null', 'null']
]

for (const [what, schema, text, expected] of table) {
  t.test(`reads ${what}`, async t => { t.strictSame(member(schema, text), expected) })
}

t.test('leaves unknown members to validation, also one called __proto__', async t => {
  const query = Object.assign(Object.create(null), { x: '1', ['__proto__']: 'y' })
  const read = readTexts(Type.Object({ m: Type.Integer() }), query)
  t.same(Object.keys(read).sort(), ['__proto__', 'x'])
  t.equal(Object.getPrototypeOf(read), Object.prototype)
  t.same(readTexts(Type.Object({}), undefined), {})
  t.same(readTexts(Type.Record(Type.String(), Type.Integer()), { a: '1' }), { a: '1' })
})

t.test('reads the members of intersections and unions of objects', async t => {
  const both = Type.Intersect([Type.Object({ a: Type.Integer() }), Type.Object({ b: Type.Boolean() })])
  t.strictSame(readTexts(both, { a: '1', b: 'true' }), { a: 1, b: true })
  const either = Type.Union([Type.Object({ a: Type.Integer() }), Type.Object({ a: Type.Boolean() })])
  t.strictSame(readTexts(either, { a: '1' }), { a: 1 })
  t.strictSame(readTexts(either, { a: 'true' }), { a: true })
  t.equal(whyNotFlat(both), undefined)
  t.equal(whyNotFlat(either), undefined)
})

t.test('says why an input cannot come from a query string', async t => {
  t.equal(whyNotFlat(Type.Object({ a: Type.Integer(), b: Type.Array(Type.String()), c: Type.Optional(Type.Union([Type.Null(), Type.String()])) })), undefined)
  t.equal(whyNotFlat(Type.Unsafe({ type: 'object' })), undefined)
  t.equal(whyNotFlat(Type.Object({ a: Type.Unsafe({ type: 'array' }) })), undefined)
  t.match(whyNotFlat(Type.Object({ a: Type.Object({}) })), /member a/)
  t.match(whyNotFlat(Type.Object({ a: Type.Array(Type.Object({})) })), /member a/)
  t.match(whyNotFlat(Type.Object({ a: Type.Array(Type.Array(Type.String())) })), /member a/)
  t.match(whyNotFlat(Type.Object({ a: Type.Union([Type.String(), Type.Object({})]) })), /member a/)
  t.match(whyNotFlat(Type.Object({ a: Type.Intersect([Type.Object({}), Type.Object({})]) })), /member a/)
  t.match(whyNotFlat(Type.Object({ lastEventId: Type.String() })), /belongs to the protocol/)
  t.match(whyNotFlat(Type.String()), /must be an object/)
  t.match(whyNotFlat(Type.Record(Type.String(), Type.String())), /must be an object/)
  t.match(whyNotFlat(Type.Union([Type.Object({}), Type.String()])), /must be an object/)
  t.match(whyNotFlat(Type.Recursive(Self => Type.Object({ a: Type.Optional(Self) }))), /member a/)
})
