import { inspect } from 'node:util'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { parseOptions } from '../../lib/options.js'

const schema = Type.Object({
  limit: Type.Integer({ minimum: 1, default: 10 }),
  mode: Type.Union([Type.Literal('overlap'), Type.Literal('before-progress')], { default: 'overlap' }),
  label: Type.Optional(Type.String())
})

t.test('fills in defaults in a copy', async t => {
  const given = Object.freeze({ label: 'x' })
  t.strictSame(parseOptions('test', schema, given), { limit: 10, mode: 'overlap', label: 'x' })
  t.strictSame(given, { label: 'x' })
})

t.test('takes undefined for an option that was not given', async t => {
  t.strictSame(parseOptions('test', schema, { limit: undefined, label: undefined }), { limit: 10, mode: 'overlap' })
})

t.test('takes Infinity for a limit', async t => {
  t.equal(parseOptions('test', schema, { limit: Infinity }).limit, Infinity)
})

for (const [given, message] of [
  [{ limits: 1 }, 'limits is not allowed'],
  [{ limit: 0 }, 'limit must be >= 1'],
  [{ limit: '5' }, 'limit must be integer'],
  [{ limit: 1.5 }, 'limit must be integer'],
  [{ limit: NaN }, 'limit must be integer'],
  [{ limit: null }, 'limit must be integer'],
  [{ mode: 'later' }, 'mode must be one of "overlap", "before-progress"']
] as const) {
  t.test(`refuses ${inspect(given)} because ${message}`, async t => {
    t.throws(() => parseOptions('test', schema, given), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', message: `Invalid test options: ${message}`, statusCode: 500 })
  })
}
