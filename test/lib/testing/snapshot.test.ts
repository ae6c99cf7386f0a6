import t from 'tap'
import { snapshot } from '../../../lib/testing/snapshot.js'

t.test('copies plain objects and arrays, whatever they hold', async t => {
  const value = { list: [{ n: 1 }], none: null, text: 'a', bare: Object.assign(Object.create(null), { n: 1 }) }
  const copy = snapshot(value)
  t.strictSame(copy, value)
  value.list[0]!.n = 2
  value.bare.n = 2
  t.equal(copy.list[0]!.n, 1)
  t.equal(copy.bare.n, 1)
  t.equal(Object.getPrototypeOf(copy.bare), null)
})

t.test('takes instances and functions as they are', async t => {
  const value = { date: new Date(0), map: new Map(), run () {} }
  const copy = snapshot(value)
  t.not(copy, value)
  t.equal(copy.date, value.date)
  t.equal(copy.map, value.map)
  t.equal(copy.run, value.run)
})

t.test('copies a circle as a circle, and a value that occurs twice once', async t => {
  const value: Record<string, unknown> = { shared: [1] }
  value['again'] = value['shared']
  value['self'] = value
  const copy = snapshot(value)
  t.equal(copy['self'], copy)
  t.equal(copy['again'], copy['shared'])
  t.not(copy['shared'], value['shared'])
})

t.test('keeps a member __proto__ a member', async t => {
  const copy = snapshot(JSON.parse('{"__proto__":{"admin":true}}'))
  t.equal(copy.admin, undefined)
  t.equal(JSON.stringify(copy), '{"__proto__":{"admin":true}}')
})
