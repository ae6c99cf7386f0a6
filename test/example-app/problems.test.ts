import createError from '@fastify/error'
import fastify from 'fastify'
import t from 'tap'
import { problems } from '../../example-app/problems.js'
import { RunningApp } from './running-app.js'

t.test('answers an error as a problem, and tells nothing of those that are not meant for clients', async t => {
  const app = fastify()
  await app.register(problems)
  const FullError = createError('EXAMPLE_ERR_FULL', 'There is no room', 507)
  const thrown: Record<string, unknown> = {
    refused: Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' }),
    upstream: Object.assign(new Error('secret'), { statusCode: 502, code: 'UPSTREAM' }),
    odd: Object.assign(new Error('secret'), { statusCode: 200 }),
    nothing: null,
    text: 'secret',
    full: new FullError(),
    unknown: Object.assign(new Error('There is no such file'), { statusCode: 404, code: 'EXAMPLE_ERR_UNKNOWN' })
  }
  for (const [name, error] of Object.entries(thrown)) app.get(`/${name}`, async () => { throw error })
  const get = async (name: string): Promise<unknown> => {
    const response = await app.inject(`/${name}`)
    t.equal(response.headers['content-type'], 'application/problem+json')
    t.equal(response.headers['cache-control'], 'no-store')
    const { status, instance, ...told } = response.json()
    t.equal(status, response.statusCode)
    t.match(instance, /^[\w-]{22}$/)
    return { status, ...told }
  }
  const internal = { type: 'about:blank', title: 'Internal Server Error', status: 500 }
  for (const name of ['refused', 'odd', 'nothing', 'text']) t.same(await get(name), internal, name)
  t.same(await get('upstream'), { type: 'about:blank', title: 'Bad Gateway', status: 502 })
  t.same(await get('full'), { type: 'about:blank', title: 'Insufficient Storage', status: 507, detail: 'There is no room', code: 'EXAMPLE_ERR_FULL' })
  t.same(await get('unknown'), { type: 'about:blank', title: 'Not Found', status: 404, detail: 'There is no such file', code: 'EXAMPLE_ERR_UNKNOWN' })
})

t.test('the app answers all of its plain routes so', async t => {
  const folder = t.testdir({ files: {} })
  const app = await new RunningApp().start(t, `${folder}/gone`)
  const files = await fetch(`${app.url}/files`)
  t.equal(files.status, 500)
  t.notMatch(await files.text(), /ENOENT|gone/)
  t.match(await app.logged('request failed'), { level: 50, err: { code: 'ENOENT' } })
  const sample = await fetch(`${app.url}/import/sample.csv?rows=0`)
  t.match(await sample.json(), { status: 400, code: 'FST_ERR_VALIDATION', detail: /rows/ })
})
