import { createHash } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { analyze } from '../../example-app/processing/operations/analyze.js'
import { compress } from '../../example-app/processing/operations/compress.js'
import { decodeUtf8 } from '../../example-app/processing/operations/decode-utf8.js'
import { validate } from '../../example-app/processing/operations/validate.js'
import { exampleFiles } from './running-app.js'

async function * chunksOf (content: Buffer | string, size = 65_536): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(content)
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size)
}

t.test('analyzes every example file as independent counts do, however its bytes are cut', async t => {
  for (const name of await readdir(exampleFiles)) {
    const bytes = await readFile(exampleFiles + name)
    const text = bytes.toString('latin1')
    const expected = {
      lines: text === '' ? 0 : text.replace(/\n$/, '').split('\n').length,
      words: text.split(/[ \t\n\v\f\r]+/).filter(word => word !== '').length,
      sha256: createHash('sha256').update(bytes).digest('hex')
    }
    t.same(await analyze(chunksOf(bytes)), expected, name)
    t.same(await analyze(chunksOf(bytes, 3)), expected, `${name} in pieces of three bytes`)
  }
})

t.test('compresses as gzip does', async t => {
  for (const name of await readdir(exampleFiles)) {
    const bytes = await readFile(exampleFiles + name)
    const gzipped = gzipSync(bytes)
    t.equal(gunzipSync(gzipped).length, bytes.length)
    const { gzipBytes = NaN, ratio } = await compress(chunksOf(bytes))
    t.equal(gzipBytes, gzipped.length, name)
    if (bytes.length === 0) t.equal(ratio, undefined, 'no bytes have no ratio')
    else t.ok(Math.abs(ratio! - gzipped.length / bytes.length) < 0.000_1)
  }
})

t.test('validates the example files', async t => {
  const verdicts: Record<string, unknown> = {}
  for (const name of await readdir(exampleFiles)) verdicts[name] = await validate(chunksOf(await readFile(exampleFiles + name)), name)
  t.strictSame(verdicts, {
    'access-log.txt': { format: 'utf-8', valid: true },
    'broken.json': { format: 'json', valid: false, error: { message: "unexpected token '}'", line: 5, column: 1 } },
    empty: { format: 'utf-8', valid: true },
    'grüße.txt': { format: 'utf-8', valid: true },
    'orders-broken.csv': { format: 'csv', valid: false, error: { message: 'the first row has 5 fields, this one 4', line: 24, column: 5 } },
    'orders.csv': { format: 'csv', valid: true },
    'orders.json': { format: 'json', valid: true },
    'photo.bin': { format: 'utf-8', valid: false, error: { message: 'bytes that are no UTF-8', byteOffset: 47 } },
    'read me first.md': { format: 'utf-8', valid: true }
  })
})

for (const { name, content, error } of [
  { name: 'a.json', content: '{"a": [1,\n 2,]}', error: { line: 2, column: 4 } },
  { name: 'a.json', content: '', error: { line: 1, column: 1 } },
  { name: 'a.json', content: '[1, 2', error: { line: 1, column: 6 } },
  { name: 'a.json', content: '[01]', error: { line: 1, column: 3 } },
  { name: 'a.JSON', content: '{} {}', error: { line: 1, column: 4 } },
  { name: 'a.json', content: '\uFEFF{"ü": "👋🏽"}' },
  { name: 'a.json', content: Buffer.from('["\xff", ]', 'latin1'), error: { byteOffset: 2 } },
  { name: 'a.json', content: Buffer.from('[,\xff]', 'latin1'), error: { line: 1, column: 2 } },
  { name: 'a.csv', content: 'a,b\n1,2,3\n', error: { line: 2, column: 3 } },
  { name: 'a.csv', content: 'a,b\r\n"1\n2",2\r\n3\r\n', error: { line: 4, column: 2 } },
  { name: 'a.csv', content: 'a,b\n1,"2"3\n', error: { line: 2, column: 2 } },
  { name: 'a.csv', content: 'a,b\n1,"2', error: { line: 2, column: 2 } },
  { name: 'a.csv', content: `a,b\n1,"${'2'.repeat(2_000_000)}\n`, error: { line: 2, column: 2 } },
  { name: 'a.csv', content: '\uFEFF"a",b\n1,2' },
  { name: 'a.csv', content: '' },
  { name: 'a', content: 'a\0b' },
  { name: 'a', content: Buffer.from([0x41, 0xe2, 0x82]), error: { byteOffset: 1 } },
  { name: 'a', content: Buffer.from([0xef, 0xbf, 0xbd, 0x80]), error: { byteOffset: 3 } },
  { name: 'a', content: Buffer.from([0x41, 0xe2, 0x28, 0xa1]), error: { byteOffset: 1 } },
  { name: 'a', content: Buffer.from([0xed, 0xa0, 0x80]), error: { byteOffset: 0 } },
  { name: 'a', content: Buffer.from([0xf0, 0x9f, 0x91, 0x8b, 0xf4, 0x90, 0x80, 0x80]), error: { byteOffset: 4 } },
  { name: 'a', content: Buffer.from([0xc0, 0xaf]), error: { byteOffset: 0 } }
]) {
  t.test(`finds ${JSON.stringify(error ?? 'nothing wrong')} in ${name} with ${JSON.stringify(content.toString('latin1').slice(0, 30))}`, async t => {
    for (const size of content.length > 1_000 ? [65_536] : [1, 2, 3, 5, 65_536]) {
      const verdict = await validate(chunksOf(content as Buffer, size), name)
      t.equal(verdict.valid, error === undefined)
      if (error !== undefined) t.match(verdict.error, error)
    }
  })
}

t.test('gives the text before the first bad byte, however the bytes are cut', async t => {
  const good = 'aü€👋\uFFFD'
  for (let size = 1; size < 20; size++) {
    let text = ''
    const read = async (): Promise<void> => {
      for await (const part of decodeUtf8(chunksOf(Buffer.concat([Buffer.from(good), Buffer.from([0x80, 0x41])]), size))) text += part
    }
    t.match(await read().catch(error => error), { place: { byteOffset: Buffer.byteLength(good) } })
    t.equal(text, good)
  }
})

t.test('says nothing about a file that could not be read', async t => {
  async function * broken (): AsyncGenerator<Buffer> {
    throw Object.assign(new Error('the disk failed'), { code: 'EIO' })
  }
  for (const name of ['a.json', 'a.csv', 'a.txt']) await t.rejects(validate(broken(), name), { code: 'EIO' })
})
