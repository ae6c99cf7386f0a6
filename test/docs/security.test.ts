import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pageAt, root } from './pages.js'

const { text } = pageAt('docs/security.md')
const rows = text.split('\n').filter(line => line.startsWith('| ') && !/^\| (?:threat|what grows|package) /.test(line))

t.test('security.md names files that exist', async t => {
  const files = new Set(Array.from(text.matchAll(/`((?:lib|routes|plugins|test)\/[^`]*)`/g), ([, file]) => file!))
  t.ok(files.size > 30, `${files.size} files`)
  for (const file of files) t.ok(existsSync(join(root, file)), file)
})

t.test('security.md names a file of the defence and a test for each threat', async t => {
  const threats = rows.filter(row => row.split('|').length > 4)
  t.ok(threats.length > 30, `${threats.length} threats`)
  for (const row of threats) {
    const cells = row.split('|').slice(1, -1)
    t.match(cells.at(-1), /`test\/[^`]+`/, row)
    // Some defences are Node's, or that nothing is done.
    if (!/Node's parser|none is added|tells an owner/.test(row)) t.match(cells.slice(1, -1).join('|'), /`(?:lib|routes|plugins)\/[^`]+`/, row)
  }
})

t.test('security.md says what each dependency is for', async t => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  const named = rows.filter(row => row.split('|').length === 4).flatMap(row => Array.from(row.split('|')[1]!.matchAll(/`([^`]+)`/g), ([, name]) => name!))
  t.strictSame(named.sort(), Object.keys(dependencies).sort())
})

t.test('SECURITY.md leads to the review', async t => {
  t.match(pageAt('SECURITY.md').text, '](docs/security.md)')
})
