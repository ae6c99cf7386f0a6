import t from 'tap'
import { createStreamId, isStreamId, parseFrameId } from '../../lib/frame-id.js'

t.test('makes ids that nobody can guess and that the protocol allows', async t => {
  const ids = new Set(Array.from({ length: 1_000 }, createStreamId))
  t.equal(ids.size, 1_000)
  for (const id of ids) t.match(id, /^[A-Za-z0-9_-]{22}$/)
})

t.test('reads the ids that frames carry', async t => {
  t.same(parseFrameId('Zk3vQx0bT2mYw9LhR4sD1A.1'), { streamId: 'Zk3vQx0bT2mYw9LhR4sD1A', seq: 1, attempt: 1, terminal: false })
  t.same(parseFrameId('Zk3vQx0bT2mYw9LhR4sD1A.12-3.end'), { streamId: 'Zk3vQx0bT2mYw9LhR4sD1A', seq: 12, attempt: 3, terminal: true })
})

for (const text of ['', 'x', '1', 'Zk3vQx0bT2mYw9LhR4sD1A', 'Zk3vQx0bT2mYw9LhR4sD1A.0', 'Zk3vQx0bT2mYw9LhR4sD1A.01', 'Zk3vQx0bT2mYw9LhR4sD1A.1-0',
  'Zk3vQx0bT2mYw9LhR4sD1A.1.END', 'Zk3vQx0bT2mYw9LhR4sD1A.1\n', 'Zk3vQx0bT2mYw9LhR4sD1A.1234567890123456', 'Zk3vQx0bT2mYw9LhR4sD1.1']) {
  t.test(`refuses ${JSON.stringify(text)}`, async t => {
    t.throws(() => parseFrameId(text), { code: 'MEDIATOR_ERR_MALFORMED_EVENT_ID', statusCode: 400 })
  })
}

t.test('knows what may be the id of a stream', async t => {
  t.ok(isStreamId(createStreamId()))
  for (const text of ['', 'Zk3vQx0bT2mYw9LhR4sD1', 'Zk3vQx0bT2mYw9LhR4sD1AA', 'Zk3vQx0bT2mYw9LhR4sD1/', 'Zk3vQx0bT2mYw9LhR4sD1A\n', 'Zk3vQx0bT2mYw9LhR4sD1}']) {
    t.notOk(isStreamId(text), JSON.stringify(text))
  }
})
