import { availableParallelism } from 'node:os'
import t from 'tap'
import { readSettings } from '../../example-app/settings.js'

t.test('serves this machine only, from one process, unless told otherwise', async t => {
  t.same(readSettings({}), { host: '127.0.0.1', port: 3000, filesDir: undefined, databaseUrl: undefined, workers: 1 })
  t.same(readSettings({ HOST: '::', PORT: '0', FILES: '/srv/files', WORKERS: '4' }), { host: '::', port: 0, filesDir: '/srv/files', databaseUrl: undefined, workers: 4 })
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
