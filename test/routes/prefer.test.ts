import t from 'tap'
import { prefersAsync } from '../../routes/prefer.js'

t.test('finds the preference among others, as RFC 7240 writes them', async t => {
  for (const header of ['respond-async', 'Respond-Async', ' respond-async ', 'respond-async, wait=10', 'wait=10,respond-async', 'return=minimal; a=b, \trespond-async',
    'respond-async; wait=10', 'respond-async=""', 'note="a, b", respond-async', 'note="a \\" b", respond-async', ['wait=10', 'respond-async']]) {
    t.equal(prefersAsync(header), true, String(header))
  }
})

t.test('does not find it in what is none', async t => {
  for (const header of [undefined, '', 'wait=10', 'respond-asynchronously', 'x-respond-async', 'return=respond-async', 'note="respond-async"', 'note="a, respond-async, b"',
    'note="a \\", respond-async"', 'wait=10; respond-async', 'respond async', []]) {
    t.equal(prefersAsync(header), false, String(header))
  }
})

t.test('reads a header of any length in time that grows with it', async t => {
  const header = `${'a="\\'.repeat(4_000)} ,`.repeat(4)
  const startedAt = performance.now()
  t.equal(prefersAsync(header), false)
  t.ok(performance.now() - startedAt < 2_000)
})
