import { inspect } from 'node:util'
import { Type } from '@sinclair/typebox'
import type { TSchema } from '@sinclair/typebox'
import t from 'tap'
import { compileSerializer } from '../../lib/serializer.js'

const At = Type.Unsafe<Date>({ type: 'string', format: 'date-time' })
const Big = Type.Unsafe<bigint>({ type: 'integer' })
const epoch = new Date(0)

// tap ends its output at a title that holds a line separator.
function printable (text: string): string {
  return text.replaceAll(/[^ -~]/g, '?').slice(0, 60)
}

const cyclic: Record<string, unknown> = {}
cyclic['self'] = cyclic

// What fast-json-stringify alone would coerce, invent or write as text that is no JSON.
for (const [schema, value, message] of [
  [Type.Integer(), '12', /must be integer/],
  [Type.Integer(), 1.7, /must be integer/],
  [Type.Integer(), NaN, /must be integer/],
  [Type.Integer(), Infinity, /must be integer/],
  [Type.Integer(), 5n, /must be integer/],
  [Type.Number(), NaN, /must be number/],
  [Type.Number(), -Infinity, /must be number/],
  [Type.Number(), null, /must be number/],
  [Type.Number(), epoch, /must be number/],
  [Type.Boolean(), 'true', /must be boolean/],
  [Type.Boolean(), 1, /must be boolean/],
  [Type.String(), 5, /must be string/],
  [Type.String(), epoch, /must be string/],
  [Type.String(), null, /must be string/],
  [Type.String(), undefined, /must be string/],
  [Type.Null(), 0, /must be null/],
  [Type.Null(), undefined, /must be null/],
  [Type.Object({ a: Type.String() }), null, /must be object/],
  [Type.Object({ a: Type.String() }), [], /must be object/],
  [Type.Object({ a: Type.String() }), {}, /a is required/],
  [Type.Object({ a: Type.Array(Type.Object({ b: Type.Integer() })) }), { a: [{ b: 1 }, { b: '1' }] }, /^a\.1\.b must be integer$/],
  [Type.Array(Type.String()), 'a', /must be array/],
  [Type.Array(Type.String()), [null], /0 must be string/],
  [Type.Literal('a'), 'b', /must be one of "a"/],
  [Type.Enum({ A: 'a', B: 'b' }), 'c', /must be one of "a", "b"/],
  [Type.String({ format: 'date-time' }), 'yesterday', /date-time/],
  [Type.String({ format: 'uuid' }), '1', /uuid/],
  [Type.String({ maxLength: 1 }), 'ab', /NOT have more/],
  [Type.Record(Type.String(), Type.Integer()), { a: '1' }, /a must be integer/],
  [Type.Union([Type.Integer(), Type.Null()]), '1', /must be integer/],
  [At, new Date(NaN), /must be a valid Date/],
  [At, 'yesterday', /must be a valid Date/],
  [At, 0, /must be a valid Date/],
  [Type.Object({ at: At }), { at: new Date(NaN) }, /at must be a valid Date/],
  [Big, 1.5, /must be integer/],
  [Big, '5', /must be integer/],
  [Type.Any(), undefined, /cannot be written as JSON/],
  [Type.Any(), () => {}, /cannot be written as JSON/],
  [Type.Any(), Symbol('s'), /cannot be written as JSON/],
  [Type.Any(), 5n, /cannot be written as JSON/],
  [Type.Unknown(), undefined, /cannot be written as JSON/],
  [Type.Unsafe<object>({}), undefined, /cannot be written as JSON/],
  [Type.Not(Type.String()), () => {}, /cannot be written as JSON/],
  [Type.Array(Type.Any()), [undefined], /0 cannot be written as JSON/],
  [Type.Object({ a: Type.Any() }), { a: Symbol('s') }, /a cannot be written as JSON/],
  [Type.Record(Type.String(), Type.Any()), { a () {} }, /a cannot be written as JSON/],
  [Type.Any(), cyclic, /circular/],
  [Type.Object({ a: Type.Any() }), { a: [5n] }, /BigInt/]
] as Array<[TSchema, unknown, RegExp]>) {
  t.test(`refuses ${inspect(value)} for ${JSON.stringify(schema)}`, async t => {
    t.throws(() => compileSerializer(schema)(value), { message })
  })
}

const Tree = Type.Recursive(This => Type.Object({ id: Type.String(), children: Type.Array(This) }))
const Shop = Type.Module({
  Order: Type.Object({ at: At, lines: Type.Array(Type.Ref('Line')) }),
  Line: Type.Object({ sku: Type.String(), count: Type.Integer() })
})

for (const [schema, value, json] of [
  [Type.Integer(), 12, '12'],
  [Type.Integer(), Number.MAX_SAFE_INTEGER, '9007199254740991'],
  [Type.Number(), 1.7, '1.7'],
  [Type.Boolean(), false, 'false'],
  [Type.Null(), null, 'null'],
  [Type.String(), 'line\nbreak\r"quoted" \u2028 \u0000', JSON.stringify('line\nbreak\r"quoted" \u2028 \u0000')],
  [Type.String(), `${'long enough for the fast path '.repeat(5)}\n"`, JSON.stringify(`${'long enough for the fast path '.repeat(5)}\n"`)],
  [Type.String(), '\ud800', '"\\ud800"'],
  [Type.String({ format: 'date-time' }), '2024-01-01T00:00:00Z', '"2024-01-01T00:00:00Z"'],
  [Type.Object({ a: Type.String() }), { a: 'a', secret: 'b' }, '{"a":"a"}'],
  [Type.Object({ a: Type.Optional(Type.String()) }), {}, '{}'],
  [Type.Object({ a: Type.Optional(Type.String()) }), { a: undefined }, '{}'],
  [Type.Object({ a: Type.Optional(Type.Any()) }), { a: undefined }, '{}'],
  [Type.Intersect([Type.Object({ a: Type.Integer() }), Type.Object({ b: Type.Integer() })]), { a: 1, b: 2, secret: 3 }, '{"a":1,"b":2}'],
  [Type.Tuple([Type.String(), Type.Integer()]), ['a', 1], '["a",1]'],
  [Type.Record(Type.String(), Type.Integer()), { a: 1, b: 2 }, '{"a":1,"b":2}'],
  [Type.Union([Type.Object({ a: Type.Integer() }), Type.Null()]), null, 'null'],
  [Type.Enum({ A: 'a', B: 'b' }), 'b', '"b"'],
  [Type.Array(Type.Union([Type.Integer(), Type.String()])), [1, '1'], '[1,"1"]'],
  [At, epoch, '"1970-01-01T00:00:00.000Z"'],
  [At, '2024-01-01T00:00:00Z', '"2024-01-01T00:00:00Z"'],
  [Type.Union([At, Type.Null()]), epoch, '"1970-01-01T00:00:00.000Z"'],
  [Type.Object({ at: Type.Optional(At), list: Type.Array(At) }), { at: epoch, list: [epoch] },
    '{"list":["1970-01-01T00:00:00.000Z"],"at":"1970-01-01T00:00:00.000Z"}'],
  [Type.Unsafe<Date>({ type: 'string', format: 'date' }), epoch, '"1970-01-01"'],
  [Big, 2n ** 64n, '18446744073709551616'],
  [Big, 5, '5'],
  [Type.Object({ n: Big }), { n: 7n }, '{"n":7}'],
  [Type.Unsafe<string>({ type: 'string' }), 'a', '"a"'],
  [Type.Unsafe<unknown>({}), { a: 1 }, '{"a":1}'],
  [Type.Any(), { a: [epoch, null] }, '{"a":["1970-01-01T00:00:00.000Z",null]}'],
  [Type.Any(), 'a', '"a"'],
  [Type.Any(), null, 'null'],
  [Type.Unknown(), [1], '[1]'],
  [Tree, { id: 'a', children: [{ id: 'b', children: [], secret: 1 }] }, '{"id":"a","children":[{"id":"b","children":[]}]}'],
  [Shop.Import('Order'), { at: epoch, lines: [{ sku: 'x', count: 1 }] }, '{"at":"1970-01-01T00:00:00.000Z","lines":[{"sku":"x","count":1}]}']
] as Array<[TSchema, unknown, string]>) {
  t.test(`writes ${printable(inspect(value))} for ${printable(JSON.stringify(schema))} as ${printable(json)}`, async t => {
    t.equal(compileSerializer(schema)(value), json)
  })
}

t.test('checks inside recursive and module schemas', async t => {
  t.throws(() => compileSerializer(Tree)({ id: 'a', children: [{ id: 1, children: [] }] }), { message: /children\.0\.id must be string/ })
  t.throws(() => compileSerializer(Shop.Import('Order'))({ at: new Date(NaN), lines: [] }), { message: /at must be a valid Date/ })
  t.throws(() => compileSerializer(Shop.Import('Order'))({ at: epoch, lines: [{ sku: 'x', count: '1' }] }), { message: /count must be integer/ })
})

t.test('compiles two schemas of one $id', async t => {
  t.equal(compileSerializer(Type.String({ $id: 'same' }))('a'), '"a"')
  t.equal(compileSerializer(Type.Object({ a: Type.Integer({ $id: 'inner' }) }, { $id: 'same' }))({ a: 1 }), '{"a":1}')
})

t.test('leaves the schema and the value as they are', async t => {
  const schema = Type.Object({ at: At, any: Type.Any(), list: Type.Array(Type.String({ default: 'x' })) })
  const before = inspect(schema, { depth: 9 })
  const value = Object.freeze({ at: epoch, any: Object.freeze({}), list: Object.freeze(['a']), extra: 1 })
  compileSerializer(schema)(value)
  t.equal(inspect(schema, { depth: 9 }), before)
})

t.test('keeps values of a schema that look like schemas', async t => {
  const schema = Type.Unsafe<object>({ const: { type: 'string', list: [null, 'a', { b: 1 }] } })
  t.equal(compileSerializer(schema)({ type: 'string', list: [null, 'a', { b: 1 }] }), '{"type":"string","list":[null,"a",{"b":1}]}')
  t.throws(() => compileSerializer(schema)({}), { message: /must be one of/ })
})

t.test('escapes texts of an unsafe format, wherever they stand', async t => {
  const text = '","admin":true,"x":"\n\u0000'
  const raw = { type: 'string', format: 'unsafe' }
  for (const [schema, value] of [
    [Type.String({ format: 'unsafe' }), text],
    [Type.Object({ a: Type.Array(Type.String({ format: 'unsafe' })) }), { a: [text] }],
    [Type.Object({}, { additionalProperties: Type.String({ format: 'unsafe' }) }), { [text]: text }],
    [Type.Union([Type.Integer(), Type.String({ format: 'unsafe' })]), text],
    [Type.Unsafe({ type: 'object', properties: { a: raw, format: raw }, required: ['a'] }), { a: text, format: 'unsafe' }],
    [Type.Unsafe({ type: ['string', 'null'], format: 'unsafe' }), text]
  ] as const) t.strictSame(JSON.parse(compileSerializer(schema)(value)), value)
})

for (const kind of ['Date', 'BigInt', 'Undefined', 'Uint8Array', 'Void', 'Symbol'] as const) {
  t.test(`cannot compile Type.${kind}(), wherever it stands`, async t => {
    t.throws(() => compileSerializer(Type[kind]()))
    t.throws(() => compileSerializer(Type.Object({ a: Type.Optional(Type.Array(Type[kind]())) })))
  })
}

t.test('refuses an object whose toJSON leaves nothing to write', async t => {
  const nothing = { toJSON () {} }
  t.throws(() => compileSerializer(Type.Object({ a: Type.Any() }))({ a: nothing }))
  t.throws(() => compileSerializer(Type.Any())(nothing))
  t.equal(compileSerializer(Type.Object({ a: Type.Any() }))({ a: { toJSON: () => 5 } }), '{"a":5}')
  t.equal(compileSerializer(Type.Any())({ toJSON: 5 }), '{"toJSON":5}')
})

t.test('refuses bigints that no number holds where it is asked to', async t => {
  const exact = compileSerializer(Type.Object({ n: Big }))
  const safe = compileSerializer(Type.Object({ n: Big }), { safeIntegers: true })
  for (const n of [2n ** 53n, -(2n ** 53n), 2n ** 2_000n]) {
    t.equal(exact({ n }), `{"n":${n}}`)
    t.throws(() => safe({ n }), { message: 'n must be a safe integer: declare a larger one as a string' })
  }
  for (const n of [2n ** 53n - 1n, -(2n ** 53n) + 1n, 0n, 5]) t.equal(safe({ n }), `{"n":${n}}`)
  t.throws(() => safe({ n: '5' }), /n must be integer/)
})

for (const [what, thrown, message] of [
  ['null', null, 'null'],
  ['undefined', undefined, 'undefined'],
  ['a text', 'no', 'no'],
  ['an object without a text', Object.create(null), 'it cannot be read'],
  ['an error with a symbol for a message', Object.assign(new Error('a'), { message: Symbol('s') }), 'it cannot be read']
] as const) {
  t.test(`throws an error where a getter throws ${what}`, async t => {
    const value = { get n () { throw thrown } }
    t.throws(() => compileSerializer(Type.Any())(value), { constructor: Error, message })
    t.throws(() => compileSerializer(Type.Object({ n: Type.Integer() }))(value), { constructor: Error, message })
  })
}
