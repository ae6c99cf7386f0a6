import { availableParallelism } from 'node:os'
import t from 'tap'
import { readSettings } from '../../example-app/settings.js'

t.test('serves this machine only, from one process, unless told otherwise', async t => {
  const unset = { databaseUrl: undefined, upstream: undefined }
  t.same(readSettings({}), { host: '127.0.0.1', port: 3000, filesDir: undefined, workers: 1, ...unset })
  t.same(readSettings({ HOST: '::', PORT: '0', FILES: '/srv/files', WORKERS: '4' }), { host: '::', port: 0, filesDir: '/srv/files', workers: 4, ...unset })
})

t.test('takes the address of a PostgreSQL server, and shows none that it does not take', async t => {
  for (const DATABASE_URL of ['postgres://app@localhost/people', 'postgresql://localhost']) t.equal(readSettings({ DATABASE_URL }).databaseUrl, DATABASE_URL)
  t.throws(() => readSettings({ DATABASE_URL: 'mysql://app:secret@localhost' }), { message: /^DATABASE_URL must begin with postgres:\/\/ or postgresql:\/\/$/ })
})

t.test('runs a worker a core when told so', async t => {
  t.equal(readSettings({ WORKERS: 'auto' }).workers, availableParallelism())
})

t.test('says what is wrong with a port or a number of workers', async t => {
  for (const PORT of ['http', '65536', '-1', '1e3', '']) t.throws(() => readSettings({ PORT }), { message: `PORT is "${PORT}": it must be a number from 0 to 65535` })
  for (const WORKERS of ['0', '257', '1.5', '-1', 'many', '']) {
    t.throws(() => readSettings({ WORKERS }), { message: `WORKERS is "${WORKERS}": it must be a number from 1 to 256, or auto for one a core` })
  }
})

t.test('takes a model by its key, by its url or by both', async t => {
  t.same(readSettings({ OPENAI_API_KEY: 'sk-1' }).upstream, { baseUrl: 'https://api.openai.com/v1', apiKey: 'sk-1', model: 'gpt-4o-mini' })
  t.same(readSettings({ OPENAI_BASE_URL: 'http://localhost:11434/v1/', OPENAI_MODEL: 'llama3' }).upstream,
    { baseUrl: 'http://localhost:11434/v1', apiKey: undefined, model: 'llama3' })
  t.equal(readSettings({ OPENAI_MODEL: 'llama3' }).upstream, undefined)
})

t.test('says what is wrong with a model\'s url or key, and repeats neither', async t => {
  for (const url of ['localhost:11434', 'ftp://secret', 'http://user:secret@localhost', 'http://localhost?key=secret', 'http://localhost#secret', 'secret', '']) {
    t.throws(() => readSettings({ OPENAI_BASE_URL: url }), { message: /^OPENAI_BASE_URL must be (?!.*secret)/ }, url)
  }
  for (const key of ['', 'secret key', 'secret\n', 'secrét']) t.throws(() => readSettings({ OPENAI_API_KEY: key }), { message: /^OPENAI_API_KEY (?!.*secret)/ }, key)
})
