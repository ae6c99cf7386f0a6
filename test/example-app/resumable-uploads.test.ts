import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readdirSync } from 'node:fs'
import { readFile, readdir, stat } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import type { ClientRequest } from 'node:http'
import { basename, join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { TempFolder } from '../../example-app/temp-folder.js'
import { readFrames } from '../../lib/testing/index.js'
import { RunningApp, exampleFiles } from './running-app.js'

// For tests that need no app of their own: each has ids of its own.
const shared = await new RunningApp().start(t)

const id = (): string => randomBytes(16).toString('hex')

function patch (
  app: RunningApp, uploadId: string, offset: number, body: string | Buffer, { length, name }: { length?: number, name?: string } = {}
): Promise<Response> {
  const query = name === undefined ? '' : `?name=${encodeURIComponent(name)}`
  const headers = { 'upload-offset': String(offset), ...(length !== undefined && { 'upload-length': String(length) }) }
  return fetch(`${app.url}/uploads/${uploadId}${query}`, { method: 'PATCH', headers, body })
}

/** Begins a request whose body is in the hands of the test. */
function slowPatch (t: Test, app: RunningApp, uploadId: string, headers: Record<string, string>): ClientRequest {
  const request = httpRequest(`${app.url}/uploads/${uploadId}`, { method: 'PATCH', headers })
  request.on('error', () => {}).flushHeaders()
  t.teardown(() => request.destroy())
  return request
}

const stateOf = (response: Response): object => ({
  status: response.status, offset: response.headers.get('upload-offset'), complete: response.headers.get('upload-complete'), length: response.headers.get('upload-length')
})
const head = async (app: RunningApp, uploadId: string): Promise<object> => stateOf(await fetch(`${app.url}/uploads/${uploadId}`, { method: 'HEAD' }))

/** Reads until an upload has so many bytes. */
async function untilReceived (app: RunningApp, uploadId: string, bytes: number): Promise<void> {
  const response = await fetch(`${app.url}/commands/watch-uploads?uploadIds=${uploadId}`)
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    if (text.includes(`"receivedBytes":${bytes},`)) return
  }
  throw new Error(text)
}

async function folderOf (t: Test, uploads: object = {}): Promise<{ app: RunningApp, folder: () => string }> {
  const tempDir = t.testdir({})
  const app = await new RunningApp().start(t, exampleFiles, { uploads: { ...uploads, tempDir } })
  return { app, folder: () => join(tempDir, readdirSync(tempDir)[0]!) }
}

t.test('takes a file in pieces, says where to go on, and processes it when it is whole', async t => {
  const uploadId = id()
  t.strictSame(stateOf(await patch(shared, uploadId, 0, 'one\n', { length: 11, name: 'grüße/../€.txt' })), { status: 204, offset: '4', complete: '?0', length: '11' })
  t.strictSame(await head(shared, uploadId), { status: 204, offset: '4', complete: '?0', length: '11' })
  t.equal((await shared.post('/jobs/process-uploads', { fileIds: [uploadId] })).status, 409, 'not before it is complete')
  t.strictSame(stateOf(await patch(shared, uploadId, 4, 'two\n')), { status: 204, offset: '8', complete: '?0', length: '11' })
  t.strictSame(stateOf(await patch(shared, uploadId, 8, Buffer.from('ok\n'))), { status: 204, offset: '11', complete: '?1', length: '11' })
  const frames = readFrames(await (await shared.post('/jobs/process-uploads', { fileIds: [uploadId] })).text())
  const sha256 = createHash('sha256').update('one\ntwo\nok\n').digest('hex')
  t.match(frames.at(-2)!.data, { fileId: uploadId, status: 'completed', lines: 3, sha256 })
  t.equal(frames.at(-1)!.event, 'complete')
})

t.test('takes an empty file', async t => {
  const uploadId = id()
  t.match(stateOf(await patch(shared, uploadId, 0, '', { length: 0 })), { status: 204, offset: '0', complete: '?1' })
  t.equal((await shared.post('/jobs/process-uploads', { fileIds: [uploadId] })).status, 200)
})

t.test('refuses another offset than that where it goes on, and tells the right one', async t => {
  const uploadId = id()
  t.match(stateOf(await patch(shared, uploadId, 4, 'x', { length: 10 })), { status: 409, offset: '0' }, 'nothing is there yet')
  await patch(shared, uploadId, 0, 'one\n', { length: 8 })
  for (const offset of [0, 3, 5, 8, 1e15 - 1]) {
    const response = await patch(shared, uploadId, offset, 'x')
    t.match(stateOf(response), { status: 409, offset: '4', complete: '?0' }, `at ${offset}`)
    t.match(await response.json(), { code: 'EXAMPLE_ERR_UPLOAD_OFFSET' })
  }
  t.match(stateOf(await patch(shared, uploadId, 4, 'two\n')), { status: 204, complete: '?1' })
})

t.test('keeps what has arrived of a request whose client leaves', async t => {
  const { app, folder } = await folderOf(t)
  const uploadId = id()
  const request = slowPatch(t, app, uploadId, { 'upload-offset': '0', 'upload-length': '10', 'content-length': '10' })
  request.write('one')
  await untilReceived(app, uploadId, 3)
  request.destroy()
  t.match(await head(app, uploadId), { status: 204, offset: '3', complete: '?0' })
  t.match(stateOf(await patch(app, uploadId, 3, ' and two')), { status: 400, offset: '3' }, 'more than is missing')
  t.match(stateOf(await patch(app, uploadId, 3, ' is two')), { status: 204, offset: '10', complete: '?1' })
  t.equal(await readFile(join(folder(), uploadId), 'utf8'), 'one is two')
})

t.test('has one writer an upload: whoever asks ends the one before', async t => {
  const { app, folder } = await folderOf(t)
  const uploadId = id()
  const first = slowPatch(t, app, uploadId, { 'upload-offset': '0', 'upload-length': '12', 'content-length': '12' })
  first.write('aaa')
  await untilReceived(app, uploadId, 3)
  const answered = once(first, 'response')
  t.match(stateOf(await patch(app, uploadId, 3, 'bbb')), { status: 204, offset: '6' })
  const [{ statusCode }] = await answered
  t.equal(statusCode, 409)
  first.write('ccc')
  // At the same offset, all at once: one of them writes.
  const answers = await Promise.all(Array.from('defghi', async letter => await patch(app, uploadId, 6, letter.repeat(6))))
  t.equal(answers.filter(({ status }) => status === 204).length, 1)
  t.ok(answers.every(({ status }) => status === 204 || status === 409))
  t.match(await readFile(join(folder(), uploadId), 'utf8'), /^aaabbb(d{6}|e{6}|f{6}|g{6}|h{6}|i{6})$/)
})

t.test('begins an upload once', async t => {
  const { app, folder } = await folderOf(t)
  const uploadId = id()
  const answers = await Promise.all(Array.from('abcdef', async letter => await patch(app, uploadId, 0, letter, { length: 1 })))
  t.equal(answers.filter(({ status }) => status === 204).length, 1)
  t.match(await readFile(join(folder(), uploadId), 'utf8'), /^[a-f]$/)
})

t.test('removes what is given up, also in the middle', async t => {
  const { app, folder } = await folderOf(t)
  const uploadId = id()
  const request = slowPatch(t, app, uploadId, { 'upload-offset': '0', 'upload-length': '10', 'content-length': '10' })
  request.write('one')
  await untilReceived(app, uploadId, 3)
  const watched = fetch(`${app.url}/commands/watch-uploads?uploadIds=${uploadId}`).then(async response => readFrames(await response.text()))
  const answered = once(request, 'response')
  t.equal((await fetch(`${app.url}/uploads/${uploadId}`, { method: 'DELETE' })).status, 204)
  t.equal((await answered)[0].statusCode, 410)
  t.match((await watched).at(-1), { event: 'complete', data: { complete: 0, givenUp: 1 } })
  t.strictSame(await readdir(folder()), [])
  t.match(await head(app, uploadId), { status: 404 })
  t.equal((await fetch(`${app.url}/uploads/${uploadId}`, { method: 'DELETE' })).status, 204, 'twice')
})

t.test('removes uploads that nobody goes on with, and the folder when the app closes', async t => {
  const { app, folder } = await folderOf(t, { keepMs: 100 })
  const uploadId = id()
  const gone = fetch(`${app.url}/commands/watch-uploads?uploadIds=${uploadId}`).then(async response => readFrames(await response.text()))
  await patch(app, uploadId, 0, 'one', { length: 10 })
  t.match((await gone).at(-2)!.data, { uploadId, state: 'given-up' })
  t.strictSame(await readdir(folder()), [])
  await patch(app, id(), 0, 'one', { length: 10 })
  const path = folder()
  await app.instance.close()
  await t.rejects(stat(path), { code: 'ENOENT' })
})

t.test('limits length and number', async t => {
  const app = await new RunningApp().start(t, exampleFiles, { uploads: { maxBytes: 100, maxTotalBytes: 250, maxUploads: 3 } })
  t.equal((await patch(app, id(), 0, 'x', { length: 101 })).status, 413)
  const [first, second, third] = [id(), id(), id()]
  for (const uploadId of [first, second]) t.equal((await patch(app, uploadId, 0, 'x'.repeat(100), { length: 100 })).status, 204)
  t.equal((await patch(app, third, 0, 'x', { length: 51 })).status, 503, 'all of them together')
  t.equal((await patch(app, third, 0, 'x', { length: 50 })).status, 204)
  t.equal((await patch(app, id(), 0, '', { length: 0 })).status, 503, 'their number')
  await fetch(`${app.url}/uploads/${first}`, { method: 'DELETE' })
  t.equal((await patch(app, id(), 0, '', { length: 0 })).status, 204)

  // A chunked body does not say how long it is.
  const request = slowPatch(t, app, third, { 'upload-offset': '1' })
  request.write('x'.repeat(49))
  await untilReceived(app, third, 50)
  const answered = once(request, 'response')
  request.write('y')
  t.equal((await answered)[0].statusCode, 413)
  t.match(await head(app, third), { offset: '50', complete: '?1' })
})

t.test('is not held up by uploads that bring nothing', async t => {
  const app = await new RunningApp().start(t, exampleFiles, { uploads: { maxBytes: 100, maxTotalBytes: 250, maxUploads: 4 } })
  const other = id()
  t.equal((await patch(app, other, 0, 'x', { length: 100 })).status, 204)
  for (let times = 0; times < 10; times++) t.equal((await patch(app, id(), 0, '', { length: 100 })).status, 204, 'each takes the place of the oldest one')
  t.match(await head(app, other), { status: 204, offset: '1' }, 'and not that of one which has brought something')

  // What was announced by several, and does not fit, is refused as it arrives.
  const [first, second] = [id(), id()]
  for (const uploadId of [first, second]) t.equal((await patch(app, uploadId, 0, 'x', { length: 100 })).status, 204)
  for (const uploadId of [first, second]) await patch(app, uploadId, 1, 'x'.repeat(99))
  t.match(stateOf(await patch(app, other, 1, 'x'.repeat(60))), { status: 503, offset: '1', complete: '?0' })
  t.match(stateOf(await patch(app, other, 1, 'x'.repeat(49))), { status: 204, offset: '50' })
})

t.test('begins anew at the first byte where the server was started anew', async t => {
  const uploadId = id()
  const before = await new RunningApp().start(t)
  t.match(stateOf(await patch(before, uploadId, 0, 'one ', { length: 11 })), { status: 204, offset: '4' })
  await before.instance.close()
  const app = await new RunningApp().start(t)
  t.match(await head(app, uploadId), { status: 404 })
  t.match(stateOf(await patch(app, uploadId, 4, 'and two', { length: 11 })), { status: 409, offset: '0' })
  t.match(stateOf(await patch(app, uploadId, 0, 'one and two', { length: 11 })), { status: 204, offset: '11', complete: '?1' })
})

t.test('leaves no folder that is not needed, and removes those of processes that were killed', async t => {
  const tempDir = t.testdir({})
  const { pid } = spawnSync('true')
  const left = basename(new TempFolder('uploads', tempDir).path).replace(`-${process.pid}-`, `-${pid}-`)
  mkdirSync(join(tempDir, left))
  await new RunningApp().start(t, exampleFiles, { uploads: { tempDir } })
  t.strictSame(await readdir(tempDir), [])
})

t.test('refuses ids, names and fields that are none', async t => {
  for (const bad of ['x', id().toUpperCase(), `${id()}0`, '..%2f..%2fetc%2fpasswd', `${id()}%00`, '%e0%a4%a']) {
    for (const method of ['PATCH', 'DELETE', 'HEAD']) {
      const { status } = await fetch(`${shared.url}/uploads/${bad}`, { method, headers: { 'upload-offset': '0', 'upload-length': '0' } })
      t.equal(status, 400, `${method} ${bad}`)
    }
  }
  for (const name of ['', 'x'.repeat(256), 'a\nb', 'a\0b', '\x7f']) t.equal((await patch(shared, id(), 0, '', { length: 0, name })).status, 400, JSON.stringify(name))
  for (const headers of [{}, { 'upload-offset': '0' }, { 'upload-offset': '-1', 'upload-length': '1' }, { 'upload-offset': '0', 'upload-length': '1e3' }] as Array<Record<string, string>>) {
    t.equal((await fetch(`${shared.url}/uploads/${id()}`, { method: 'PATCH', headers, body: 'x' })).status, 400, JSON.stringify(headers))
  }
  t.equal((await shared.post('/jobs/process-uploads', { fileIds: ['../../etc/passwd'] })).status, 404)
  t.equal((await shared.post('/jobs/process-uploads', { fileIds: [id()] })).status, 404)
  t.equal((await fetch(`${shared.url}/commands/watch-uploads?uploadIds=..`)).status, 400)
})

t.test('tells how several uploads stand, each when it changes, until all have ended', async t => {
  const [first, second] = [id(), id()]
  await patch(shared, first, 0, 'one', { length: 6 })
  const stream = await fetch(`${shared.url}/commands/watch-uploads?uploadIds=${first}&uploadIds=${second}`)
  const read = stream.text()
  await patch(shared, second, 0, 'done', { length: 4 })
  await patch(shared, first, 3, 'two')
  const frames = readFrames(await read)
  t.match(frames.slice(0, 3).map(({ data }) => data), [
    { command: 'watch-uploads' }, { uploadId: first, state: 'incomplete', receivedBytes: 3, sizeBytes: 6 }, { uploadId: second, state: 'unknown', receivedBytes: 0 }
  ])
  t.match(frames.filter(({ data }) => data.state === 'complete').map(({ data }) => data.uploadId).sort(), [first, second].sort())
  t.match(frames.at(-1), { event: 'complete', data: { complete: 2, givenUp: 0 } })
})
