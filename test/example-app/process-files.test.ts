import { createHash } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { EventSource } from 'eventsource'
import { readFrames } from '../../lib/testing/index.js'
import { namesOf } from '../support/frames.js'
import { RunningApp, exampleFiles } from './running-app.js'

t.test('streams one progress a file, in the order of the ids, and the totals', async t => {
  const app = await new RunningApp().start(t)
  const fileIds = (await readdir(exampleFiles)).sort()
  const frames = await app.run({ fileIds })
  t.same(namesOf(frames), ['start', ...fileIds.map(() => 'progress'), 'complete'])
  let sizeBytes = 0
  for (const [index, fileId] of fileIds.entries()) {
    const bytes = await readFile(exampleFiles + fileId)
    sizeBytes += bytes.length
    t.match(frames[index + 1]!.data, {
      fileId, status: 'completed', percent: 100, sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex')
    })
  }
  const { operation, processed, sizeBytes: total, lines, words } = frames.at(-1)!.data
  t.same({ operation, processed, total }, { operation: 'analyze', processed: fileIds.length, total: sizeBytes })
  t.equal(lines, frames.slice(1, -1).reduce((sum, { data }) => sum + data.lines, 0))
  t.equal(words, frames.slice(1, -1).reduce((sum, { data }) => sum + data.words, 0))
})

t.test('compresses and validates', async t => {
  const app = await new RunningApp().start(t)
  const bytes = await readFile(`${exampleFiles}orders.json`)
  const gzipBytes = gzipSync(bytes).length
  const [, compressed, , compressedTotals] = await app.run({ fileIds: ['orders.json', 'empty'], operation: 'compress' })
  t.match(compressed!.data, { fileId: 'orders.json', sizeBytes: bytes.length, gzipBytes })
  t.match(compressedTotals!.data, { operation: 'compress', processed: 2, sizeBytes: bytes.length, gzipBytes: gzipBytes + gzipSync('').length })

  const [, valid, invalid, totals] = await app.run({ fileIds: ['orders.csv', 'broken.json'], operation: 'validate' })
  t.match(valid!.data, { fileId: 'orders.csv', format: 'csv', valid: true })
  t.match(invalid!.data, { fileId: 'broken.json', format: 'json', valid: false, error: { line: 5, column: 1 } })
  t.match(totals!.data, { operation: 'validate', processed: 2, valid: 1, invalid: 1 })
})

t.test('takes the same input by GET, for EventSource', async t => {
  const app = await new RunningApp().start(t)
  const query = new URLSearchParams([['fileIds', 'grüße.txt'], ['fileIds', 'read me first.md'], ['operation', 'validate']])
  const source = new EventSource(`${app.url}/commands/process-files?${query}`)
  t.teardown(() => source.close())
  const seen: string[] = []
  source.addEventListener('progress', ({ data }) => seen.push(JSON.parse(data).fileId))
  const totals = await new Promise(resolve => source.addEventListener('complete', ({ data }) => resolve(JSON.parse(data))))
  t.same(seen, ['grüße.txt', 'read me first.md'])
  t.match(totals, { operation: 'validate', processed: 2, valid: 2, invalid: 0 })

  const one = await fetch(`${app.url}/commands/process-files?fileIds=empty`)
  t.same(namesOf(readFrames(await one.text())), ['start', 'progress', 'complete'], 'one id is a list of one')
})

t.test('does not run a command again when EventSource reconnects', async t => {
  const app = await new RunningApp().start(t)
  const [start] = await app.run({ fileIds: ['empty'] })
  const response = await fetch(`${app.url}/commands/process-files?fileIds=empty`, { headers: { 'last-event-id': start!.id } })
  t.equal(response.status, 204)
  t.match(await (await fetch(`${app.url}/analytics`)).json(), { files: 1 })
})

t.test('speaks the framing of python-cqrs at /process-files', async t => {
  const app = await new RunningApp().start(t)
  const response = await app.post('/process-files', { fileIds: ['orders.csv'] })
  const frames = readFrames(await response.text())
  t.same(namesOf(frames), [undefined, undefined, undefined])
  t.match(frames.map(({ data }) => data), [
    { type: 'start', command: 'process-files' },
    { type: 'progress', data: { fileId: 'orders.csv', status: 'completed' } },
    { type: 'complete', processed: 1 }
  ])
})

t.test('answers 404 to an unknown file before any frame, always', async t => {
  const app = await new RunningApp().start(t)
  const known = (await readdir(exampleFiles)).sort()
  for (const path of ['/commands/process-files', '/process-files']) {
    // Many at once, and the unknown file last: with the race alone some of these would begin as streams.
    const responses = await Promise.all(Array.from({ length: 50 }, async () => await app.post(path, { fileIds: [...known, 'nope'] })))
    for (const response of responses) {
      t.equal(response.status, 404)
      t.match(response.headers.get('content-type'), /^application\/problem\+json/)
      t.match(await response.json(), { status: 404, code: 'EXAMPLE_ERR_UNKNOWN_FILE', detail: /"nope"/ })
    }
  }
  t.equal((await fetch(`${app.url}/commands/process-files?fileIds=empty&fileIds=nope`)).status, 404)
  t.match(await (await fetch(`${app.url}/analytics`)).json(), { files: 0 }, 'nothing was started')
})

t.test('refuses ids that are no names of files', async t => {
  const app = await new RunningApp().start(t)
  for (const fileId of ['../app.ts', '..', '.', '/etc/passwd', 'files/../../package.json', 'a\\b', '..\\app.ts', 'empty\0', 'empty/', './empty']) {
    const byGet = `/commands/process-files?${new URLSearchParams({ fileIds: fileId })}`
    for (const response of [await app.post('/commands/process-files', { fileIds: ['empty', fileId] }), await fetch(app.url + byGet)]) {
      t.equal(response.status, 400, JSON.stringify(fileId))
      t.match(await response.json(), { code: 'EXAMPLE_ERR_INVALID_FILE_ID' })
    }
  }
})

t.test('refuses other bad input with the field named', async t => {
  const app = await new RunningApp().start(t)
  for (const [input, field] of [
    [{}, 'fileIds'],
    [{ fileIds: [] }, 'fileIds'],
    [{ fileIds: 'empty' }, 'fileIds'],
    [{ fileIds: [''] }, 'fileIds.0'],
    [{ fileIds: [1] }, 'fileIds.0'],
    [{ fileIds: ['x'.repeat(256)] }, 'fileIds.0'],
    [{ fileIds: ['empty'], operation: 'delete' }, 'operation'],
    [{ fileIds: ['empty'], recursive: true }, 'recursive']
  ] as const) {
    const response = await app.post('/commands/process-files', input)
    t.equal(response.status, 400, JSON.stringify(input).slice(0, 60))
    t.match(await response.json(), { errors: [{ field }] })
  }
})

t.test('handles three events a file: analytics, an audit line, the recent files', async t => {
  const app = await new RunningApp().start(t)
  const { size } = new Blob([await readFile(`${exampleFiles}orders.csv`)])
  await app.run({ fileIds: ['orders.csv', 'empty', 'orders.csv'] })
  const [start] = await app.run({ fileIds: ['orders.csv'], operation: 'compress' })

  t.match(await (await fetch(`${app.url}/analytics`)).json(), {
    files: 4,
    bytes: 3 * size,
    operations: { analyze: { files: 3, bytes: 2 * size }, compress: { files: 1, bytes: size } },
    extensions: { '.csv': { files: 3, bytes: 3 * size }, '(none)': { files: 1, bytes: 0 } }
  })
  t.match(await (await fetch(`${app.url}/recent-files`)).json(), [{ fileId: 'orders.csv', operation: 'compress' }, { fileId: 'empty', operation: 'analyze' }])
  const audited = app.logs.filter(({ msg }) => msg === 'file was read')
  t.equal(audited.length, 4)
  t.match(audited.at(-1), { streamId: start!.data.streamId, audit: { fileId: 'orders.csv', bytesRead: size, sizeBytes: size, operation: 'compress' } })
  t.notOk(app.logs.some(({ level }) => level > 30))
})
