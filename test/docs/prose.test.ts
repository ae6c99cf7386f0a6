import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { pageAt, pages, root } from './pages.js'

t.test('the README fits on two screens', async t => {
  t.ok(pageAt('README.md').text.split('\n').length <= 140)
})

t.test('no page calls anything just so, or easy', async t => {
  for (const { path, text } of pages) {
    const found = text.split('\n').flatMap((line, index) => /\b(?:just|easy|easily|simply)\b/i.test(line) ? [`${path}:${index + 1}`] : [])
    t.same(found, [], path)
  }
})

t.test('every relative link leads to a file and to a heading of it', async t => {
  let links = 0
  for (const { path, text } of pages) {
    for (const [, target] of withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue
      links++
      const [file, anchor] = target!.split('#') as [string, string?]
      const full = file === '' ? join(root, path) : join(root, dirname(path), file)
      if (!existsSync(full)) t.fail(`${path}: ${target} does not exist`)
      else if (anchor !== undefined) t.ok(anchorsOf(readFileSync(full, 'utf8')).includes(anchor), `${path}: ${target}`)
    }
  }
  t.ok(links > 10, `${links} links`)
})

t.test('the rules of the protocol are numbered without gaps, in whatever order, and nothing refers to one that is not there', async t => {
  const numbers = Array.from(pageAt('docs/protocol.md').text.matchAll(/^- \*\*R(\d+)\*\*/gm), ([, number]) => Number(number)).sort((a, b) => a - b)
  t.same(numbers, Array.from({ length: numbers.length }, (_, index) => index + 1))
  t.ok(numbers.length > 30)
  for (const { path, text } of pages) {
    for (const [, number] of text.matchAll(/\bR(\d+)\b/g)) t.ok(numbers.includes(Number(number)), `${path}: R${number}`)
  }
})

t.test('a test names each rule of the protocol on streams that are kept', async t => {
  const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.test.ts'))
  const titles = tests.flatMap(name => Array.from(readFileSync(join(root, 'test', name), 'utf8').matchAll(/\.test\([`'](?:R(\d+) )/g), ([, number]) => Number(number)))
  const rules = Array.from(pageAt('docs/protocol.md').text.matchAll(/^- \*\*R(\d+)\*\*/gm), ([, number]) => Number(number)).filter(number => number >= 44)
  t.ok(rules.length >= 15)
  for (const number of rules) t.ok(titles.includes(number), `R${number}`)
})

function withoutBlocks (text: string): string {
  return text.replaceAll(/^ *```[^]*?^ *```$/gm, '')
}

// As GitHub makes them: lower case, without punctuation, hyphens for spaces.
function anchorsOf (text: string): string[] {
  return Array.from(withoutBlocks(text).matchAll(/^#+ (.+)$/gm), ([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-'))
}
