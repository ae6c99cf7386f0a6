import { Readable } from 'node:stream'
import t from 'tap'
import { openPeople } from '../../example-app/importing/people-reader.js'
import type { PeopleRow } from '../../example-app/importing/people-reader.js'
import { sampleCsv, sampleFlaws } from '../../example-app/importing/sample.js'

const header = 'email,name,country,born\n'
const { signal } = new AbortController()

async function * chunksOf (csv: string | Buffer, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(csv)
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size)
}

async function all<T> (source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

async function read (csv: string | Buffer, size = 65_536): Promise<PeopleRow[]> {
  return await all(await openPeople(chunksOf(csv, size), signal))
}

async function rejections (csv: string | Buffer): Promise<unknown[]> {
  return (await read(csv)).flatMap(({ rejected }) => rejected ?? [])
}

t.test('reads quotes, line ends of Windows, byte order marks and columns in any order, however the bytes arrive', async t => {
  const csv = '\uFEFFborn,"name",more,country,email\r\n1990-12-31,"Ada ""the"" Berg,\r\nof Delft",x,NL,ada@example.com\r\n\r\n2000-02-29,Zoë 😀,,DE,z@example.com'
  for (const size of [1, 2, 3, 7, 1_000]) {
    t.same((await read(csv, size)).map(({ person }) => person), [
      { email: 'ada@example.com', name: 'Ada "the" Berg,\r\nof Delft', country: 'NL', born: '1990-12-31' },
      { email: 'z@example.com', name: 'Zoë 😀', country: 'DE', born: '2000-02-29' }
    ], `${size} bytes at once`)
  }
  t.match((await read(Buffer.from(`\uFEFF${header}a@example.com,"Zoë, Ada",NL,1990-01-01\n`, 'utf16le')))[0], { person: { name: 'Zoë, Ada' } })
})

t.test('tells the line, the column and the reason of what is wrong with a row, and reads on', async t => {
  const csv = Buffer.concat([Buffer.from(header +
    'a@example.com,"two\nlines",NL,1990-01-01\n' +
    'nobody,Ada,NL,1990-01-01\n' +
    'b@example.com,"a\nb",Atlantis,1990-01-01\n' +
    'c@example.com,=1+1,NL,1990-01-01\n' +
    'd@example.com,Ada,NL,1990-02-30\n' +
    'e@example.com,Ada,NL,0000-01-01\n' +
    'f@example.com,Ada\n' +
    'g@example.com,A\0a,NL,1990-01-01\n' +
    '"h"@example.com,Ada,NL,1990-01-01\n' +
    'i@example.com,Ada,"N"L,1990-01-01\n' +
    'j@example.com,'), Buffer.from([0x41, 0xff, 0xfe]), Buffer.from(',NL,1990-01-01\nk@example.com,Ada,NL,1990-01-01\nl@example.com,"Ada')])
  const rows = await read(csv)
  t.same(rows.flatMap(({ person }) => person?.email ?? []), ['a@example.com', 'k@example.com'])
  t.same(rows.flatMap(({ rejected }) => rejected === undefined ? [] : [[rejected.line, rejected.column, rejected.reason.slice(0, 23)]]), [
    [4, 'email', 'must be an e-mail addre'],
    [5, 'country', 'must be a code of two c'],
    [7, 'name', 'must be a text of 1 to '],
    [8, 'born', 'must be a date since 19'],
    [9, 'born', 'must be a date since 19'],
    [10, undefined, 'has 2 of 4 values'],
    [11, 'name', 'must be a text of 1 to '],
    [12, 'email', 'must be an e-mail addre'],
    [13, 'country', 'must be a code of two c'],
    [14, 'name', 'must be UTF-8 text'],
    [16, undefined, 'has a quote that is nev']
  ])
})

t.test('shows the beginning of a value that is long, and cuts no character in two', async t => {
  const [rejected] = await rejections(`${header}a@example.com,Ada,${'😀'.repeat(300)},1990-01-01\n`)
  t.match(rejected, { column: 'country', value: `${'😀'.repeat(60)}…` })
})

t.test('refuses a header that lacks or repeats a column, also an empty one and what is no text', async t => {
  await t.rejects(read('email,name\n'), { code: 'EXAMPLE_ERR_MISSING_COLUMN', statusCode: 400, message: /lacks country, born:/ })
  await t.rejects(read('email,name,country,born,name\n'), { code: 'EXAMPLE_ERR_REPEATED_COLUMN' })
  for (const csv of ['', '\n\n', Buffer.from(header, 'utf16le')]) {
    await t.rejects(read(csv), { message: /lacks email, name, country, born:/ })
  }
})

t.test('stops at a row that is too long, and holds no more of it', async t => {
  let pulled = 0
  async function * endless (): AsyncGenerator<Buffer> {
    yield Buffer.from(`${header}a@example.com,Ada,NL,1990-01-01\nb@example.com,"`)
    for (;; pulled++) yield Buffer.alloc(65_536, 'x')
  }
  await t.rejects(async () => { await all(await openPeople(endless(), signal)) }, { code: 'EXAMPLE_ERR_ROW_TOO_LONG', message: /more than 65536 bytes, at line 3:/ })
  t.ok(pulled < 10, `${pulled}`)
})

t.test('closes its source when its reader leaves, and when it is aborted', async t => {
  const source = Readable.from(chunksOf(header + 'a@example.com,Ada,NL,1990-01-01\n'.repeat(100_000), 1_000))
  const people = await openPeople(source, signal)
  await people.next()
  const closed = new Promise(resolve => source.once('close', resolve))
  await people.return()
  await closed
  t.ok(source.destroyed)

  const unread = Readable.from(chunksOf(header + 'a@example.com,Ada,NL,1990-01-01\n'.repeat(100_000), 1_000))
  await (await openPeople(unread, signal)).return()
  if (!unread.closed) await new Promise(resolve => unread.once('close', resolve))
  t.ok(unread.destroyed, 'also where no row was read')

  const controller = new AbortController()
  const silent = new Readable({ read () {} })
  silent.push(header)
  const reading = openPeople(silent, controller.signal).then(async people => await people.next())
  controller.abort()
  await t.rejects(reading, { name: 'AbortError' })
  t.ok(silent.destroyed)
})

t.test('finds in a sample what was put there', async t => {
  for (const rows of [1, 84, 2_550]) {
    const people = await read((await all(sampleCsv(rows, false))).join(''))
    const { rejected, duplicates } = sampleFlaws(rows)
    t.equal(people.length, rows)
    t.equal(people.filter(({ rejected }) => rejected !== undefined).length, rejected)
    const emails = people.flatMap(({ person }) => person?.email ?? [])
    t.equal(emails.length - new Set(emails).size, duplicates)
    t.same((await rejections((await all(sampleCsv(rows, true))).join(''))), [])
  }
})
