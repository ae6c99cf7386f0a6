import { Readable } from 'node:stream'
import t from 'tap'
import { iteratorOf } from '../../lib/handler.js'

async function read (iterator: AsyncIterator<unknown, unknown>): Promise<{ yielded: unknown[], returned: unknown }> {
  const yielded = []
  for (;;) {
    const { done, value } = await iterator.next()
    if (done) return { yielded, returned: value }
    yielded.push(value)
  }
}

for (const [name, returned] of Object.entries({
  null: null,
  undefined,
  'a number': 5,
  'a string': 'abc',
  'an object': { a: 1 },
  'an array': [1, 2],
  'a map': new Map([[1, 2]]),
  'a set': new Set([1]),
  'a buffer': Buffer.from('a'),
  'an object with next and nothing to iterate': { next () {} },
  'a generator function': function * () {}
})) {
  t.test(`takes ${name} for a result`, async t => {
    t.equal(iteratorOf(returned), undefined)
  })
}

t.test('streams an async generator', async t => {
  const iterator = iteratorOf((async function * () {
    yield 1
    yield 2
    return 'result'
  })())
  t.strictSame(await read(iterator!), { yielded: [1, 2], returned: 'result' })
})

t.test('streams a generator and awaits the promises that it yields', async t => {
  const iterator = iteratorOf((function * () {
    yield Promise.resolve(1)
    yield 2
    return 'result'
  })())
  t.strictSame(await read(iterator!), { yielded: [1, 2], returned: 'result' })
})

t.test('streams a Readable and what else has an async iterator', async t => {
  t.strictSame(await read(iteratorOf(Readable.from(['a', 'b']))!), { yielded: ['a', 'b'], returned: undefined })
  const iterator = { next: async () => ({ done: true as const, value: 'result' }) }
  t.equal(iteratorOf({ [Symbol.asyncIterator]: () => iterator }), iterator)
})

t.test('ends a generator that is returned', async t => {
  let ended = false
  const iterator = iteratorOf((function * () {
    try {
      yield 1
    } finally {
      ended = true
    }
  })())!
  await iterator.next()
  t.strictSame(await iterator.return!('early'), { done: true, value: 'early' })
  t.equal(ended, true)
})
