import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { FileFolder } from '../../example-app/processing/file-folder.js'

t.test('lists the files of a folder, whatever they are called, and nothing else', async t => {
  const names = ['a.b.c', 'with space', '.hidden', '..twodots', 'grüße', '😀', '__proto__', "it's", '"quoted"', '-', '%2e%2e', 'line\nbreak', 'x'.repeat(255)]
  const dir = t.testdir({ outside: 'secret', folder: { sub: { inner: 'inner' } } })
  const path = join(dir, 'folder')
  for (const name of names) await writeFile(join(path, name), name)
  await symlink('with space', join(path, 'link'))
  await symlink('../outside', join(path, 'link to the outside'))
  await symlink('/etc/hostname', join(path, 'absolute link'))
  await symlink('sub/inner', join(path, 'link to an inner file'))
  await symlink('nothing', join(path, 'dangling link'))
  await symlink('loop', join(path, 'loop'))
  await symlink('..', join(path, 'link to a folder'))
  const folder = new FileFolder(path)
  const listed = (await folder.list()).map(({ fileId }) => fileId)
  t.same(listed, [...names, 'link', 'link to an inner file'].sort())

  for (const fileId of names) {
    const file = await folder.open(fileId)
    const chunks = []
    for await (const chunk of file.read(new AbortController().signal)) chunks.push(chunk)
    t.equal(Buffer.concat(chunks).toString(), fileId)
    t.equal(file.bytesRead, file.sizeBytes)
    await file.close()
  }

  for (const fileId of ['sub', 'link to the outside', 'absolute link', 'dangling link', 'loop', 'link to a folder', 'unknown', 'y'.repeat(5_000)]) {
    await t.rejects(folder.open(fileId), { statusCode: 404, code: 'EXAMPLE_ERR_UNKNOWN_FILE' }, fileId.slice(0, 20))
  }
  for (const fileId of ['', '.', '..', '../outside', '/etc/hostname', 'sub/inner', './with space', 'a\\b', '..\\outside', 'a.b.c\0', 'a.b.c/']) {
    await t.rejects(folder.open(fileId), { statusCode: 400, code: 'EXAMPLE_ERR_INVALID_FILE_ID' }, JSON.stringify(fileId))
  }
})

t.test('sees files that come and go', async t => {
  const dir = t.testdir({ a: 'a' })
  const folder = new FileFolder(dir)
  await writeFile(join(dir, 'b'), 'b')
  await mkdir(join(dir, 'c'))
  t.same(await folder.list(), [{ fileId: 'a', sizeBytes: 1 }, { fileId: 'b', sizeBytes: 1 }])
  await rm(join(dir, 'a'))
  await t.rejects(folder.find('a'), { statusCode: 404, code: 'EXAMPLE_ERR_UNKNOWN_FILE' })
})

t.test('reads nothing for a client that has left already', async t => {
  const folder = new FileFolder(t.testdir({ a: 'text' }))
  const file = await folder.open('a')
  t.teardown(() => file.close())
  const reason = new Error('left')
  await t.rejects(file.read(AbortSignal.abort(reason)).next(), reason)
  // An error event that nobody listens to would end this process in the next turn.
  await new Promise(resolve => setImmediate(resolve))
})
