import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import { TempFolder } from '../../example-app/temp-folder.js'

/** The id of a process that has ended. */
const endedPid = spawnSync('true').pid

function nameOf (folder: TempFolder, pid: number | string, name = 'x'): string {
  const parts = basename(new TempFolder(name, dirname(folder.path)).path).split('-')
  parts[parts.length - 2] = String(pid)
  return parts.join('-')
}

t.test('is made when it is needed, for its user alone, and removed with what is in it', async t => {
  const parent = t.testdir({})
  const folder = new TempFolder('x', parent)
  t.strictSame(readdirSync(parent), [])
  await Promise.all([folder.make(), folder.make()])
  t.equal(statSync(folder.path).mode & 0o777, 0o700)
  writeFileSync(join(folder.path, 'file'), '')
  await folder.close()
  t.strictSame(readdirSync(parent), [])
})

t.test('is made by the next one who asks, where it could not be made before', async t => {
  const parent = join(t.testdir({}), 'later')
  const folder = new TempFolder('x', parent)
  await folder.removeAbandoned()
  await t.rejects(folder.make(), { code: 'ENOENT' })
  await new TempFolder('x', parent).close()
  await folder.close()
  mkdirSync(parent)
  await folder.make()
  t.strictSame(readdirSync(parent), [basename(folder.path)])
  await folder.close()
})

t.test('takes no link for a folder', async t => {
  const parent = t.testdir({ target: {} })
  const folder = new TempFolder('x', parent)
  symlinkSync('target', folder.path)
  await t.rejects(folder.make(), { code: 'EEXIST' })
})

t.test('removes the folders of processes that have ended, and no others', async t => {
  const parent = t.testdir({ target: { file: '' } })
  const folder = new TempFolder('x', parent)
  const other = new TempFolder('x', parent)
  await other.make()
  const ended = nameOf(folder, endedPid)
  // As the killed process before has left it, in a container whose processes have the same ids after each start.
  const sameId = nameOf(folder, process.pid)
  const kept = {
    'of this process': basename(other.path),
    'of a process that runs': nameOf(folder, process.ppid),
    'of an id that is none': nameOf(folder, '9'.repeat(20)),
    'for something else': nameOf(folder, endedPid, 'y'),
    'of another machine': nameOf(folder, endedPid).replace('x-', 'x-another-'),
    'of another form': `${ended}-more`
  }
  for (const name of [ended, sameId, ...Object.values(kept)]) mkdirSync(join(parent, name, 'deep'), { recursive: true })
  // What a folder links to is not in it.
  symlinkSync('../target', join(parent, ended, 'link'))
  const link = nameOf(folder, endedPid)
  symlinkSync('target', join(parent, link))
  const file = nameOf(folder, endedPid)
  writeFileSync(join(parent, file), '')
  await folder.removeAbandoned()
  t.strictSame(readdirSync(parent).sort(), [...Object.values(kept), 'target', link, file].sort())
  t.strictSame(readdirSync(join(parent, 'target')), ['file'])
  await other.close()
})
