import { closeSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ExportFiles } from '../../example-app/exporting/export-files.js'
import { openDescriptors } from '../support/open-files.js'

t.test('keeps the newest eight, and nothing that was not finished', async t => {
  const parent = t.testdir({})
  const files = new ExportFiles(parent)
  const names: string[] = []
  for (let number = 0; number < 10; number++) {
    const file = await files.begin('csv')
    t.equal(await file.write('é'), 2)
    await t.rejects(files.open(file.name), { code: 'EXAMPLE_ERR_UNKNOWN_EXPORT' }, 'not before it is finished')
    await file.finish()
    await file.end()
    names.push(file.name)
    await (await files.begin('csv')).end()
  }
  const [folder] = readdirSync(parent)
  t.strictSame(readdirSync(join(parent, folder!)).sort(), names.slice(2).sort())
  await t.rejects(files.open(names[1]!), { code: 'EXAMPLE_ERR_UNKNOWN_EXPORT' })
  const { file, bytes } = await files.open(names[2]!)
  t.equal(bytes, 2)
  await file.close()
  await files.close()
  t.strictSame(readdirSync(parent), [])
})

t.test('goes on when a folder could not be made', async t => {
  const parent = join(t.testdir({}), 'later')
  const files = new ExportFiles(parent)
  for (let number = 0; number < 5; number++) await t.rejects(files.begin('csv'), { code: 'ENOENT' })
  mkdirSync(parent)
  await (await files.begin('csv')).end()
  await files.close()
  t.strictSame(readdirSync(parent), [])
})

t.test('has room for four, again after their files could not be closed', async t => {
  const parent = t.testdir({})
  const files = new ExportFiles(parent)
  for (let round = 0; round < 2; round++) {
    const four = await Promise.all(Array.from({ length: 4 }, async () => await files.begin('csv')))
    await t.rejects(files.begin('csv'), { code: 'EXAMPLE_ERR_TOO_MANY_EXPORTS', statusCode: 503 })
    for (const file of four) {
      // What closes it is told that there is no such file, as it is told of a disk that has failed.
      closeSync(openDescriptors().find(({ path }) => path.includes(file.name))!.fd)
      await t.rejects(file.finish(), { code: 'EBADF' })
      await t.rejects(files.open(file.name), { code: 'EXAMPLE_ERR_UNKNOWN_EXPORT' }, 'it is not kept')
    }
  }
  t.strictSame(readdirSync(parent, { recursive: true }).length, 1, 'nothing but the folder')
  await files.close()
})
