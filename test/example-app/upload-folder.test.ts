import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import t from 'tap'
import type { Test } from 'tap'
import { UploadFolder } from '../../example-app/uploads/upload-folder.js'
import type { UploadOptions } from '../../example-app/uploads/upload-folder.js'

function folderOf (t: Test, options: UploadOptions = {}): UploadFolder {
  const folder = new UploadFolder({ tempDir: t.testdir({}), ...options })
  t.teardown(async () => await folder.close())
  return folder
}

const body = (text: string): Readable => Readable.from([Buffer.from(text)])

t.test('takes a file from one body, and hands it out once', async t => {
  const folder = folderOf(t)
  t.equal(await folder.receive('a', 'A', body('one')), 3)
  t.equal(readFileSync(join(folder.path, 'a'), 'utf8'), 'one')
  await t.rejects(folder.receive('a', 'A', body('two')), { code: 'EXAMPLE_ERR_UPLOAD_EXISTS', statusCode: 409 })
  const takers = await Promise.allSettled(Array.from({ length: 5 }, async () => await folder.take('a')))
  const taken = takers.flatMap(taker => taker.status === 'fulfilled' ? [taker.value] : [])
  t.equal(taken.length, 1)
  for (const taker of takers) if (taker.status === 'rejected') t.match(taker.reason, { code: 'EXAMPLE_ERR_UNKNOWN_UPLOAD' })
  const [{ file, bytes }] = taken as [typeof taken[number]]
  t.equal(bytes, 3)
  t.strictSame(readdirSync(folder.path), [], 'it has no name any more')
  t.equal(await file.readFile('utf8'), 'one')
  await file.close()
  t.equal(await folder.receive('a', 'A', body('anew')), 4)
})

t.test('keeps an upload that could not be opened, for the next one who asks', async t => {
  const folder = folderOf(t)
  await folder.receive('a', 'A', body('one'))
  rmSync(join(folder.path, 'a'))
  await t.rejects(folder.take('a'), { code: 'ENOENT' })
  writeFileSync(join(folder.path, 'a'), 'one')
  await (await folder.take('a')).file.close()
})

t.test('keeps nothing of a body that breaks off, or is too much', async t => {
  const folder = folderOf(t, { maxBytes: 5 })
  const broken = new PassThrough()
  broken.write('one')
  const receiving = folder.receive('a', 'A', broken)
  await once(folder, 'change')
  await t.rejects(folder.take('a'), { code: 'EXAMPLE_ERR_UPLOAD_INCOMPLETE' })
  broken.destroy(new Error('broken'))
  await t.rejects(receiving, { message: 'broken' })
  await t.rejects(folder.receive('a', 'A', body('123456')), { code: 'EXAMPLE_ERR_UPLOAD_TOO_LARGE' })
  t.strictSame(readdirSync(folder.path), [])
})

t.test('removes a file that nobody takes, whether others come or not', async t => {
  const folder = folderOf(t, { keepMs: 100 })
  // The folder's own timer keeps no process alive.
  const alive = setInterval(() => {}, 60_000)
  t.teardown(() => clearInterval(alive))
  const gone = new Promise<void>(resolve => folder.on('change', ({ state }) => { if (state === 'given-up') resolve() }))
  // On a machine that is very slow it is removed while it arrives.
  await folder.receive('a', 'A', body('one')).catch(error => t.match(error, { code: 'EXAMPLE_ERR_UPLOAD_GIVEN_UP' }))
  await gone
  t.strictSame(readdirSync(folder.path), [])
  t.throws(() => folder.requireComplete('a'), { code: 'EXAMPLE_ERR_UNKNOWN_UPLOAD' })
})

t.test('goes on when a folder could not be made', async t => {
  const tempDir = join(t.testdir({}), 'later')
  const folder = folderOf(t, { tempDir })
  await t.rejects(folder.receive('a', 'A', body('one')), { code: 'ENOENT' })
  mkdirSync(tempDir)
  t.equal(await folder.receive('a', 'A', body('one')), 3)
})
