import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, truncateSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { mock } from 'node:test'
import { promisify } from 'node:util'
import t from 'tap'
import type { Test } from 'tap'
import { readFrames } from '../../lib/testing/index.js'
import { RunningApp, exampleFiles } from './running-app.js'
import { startServer } from './started-server.js'

const run = promisify(execFile)
const mebibyte = 2 ** 20

async function start (t: Test, options: object = {}): Promise<{ app: RunningApp, folder: () => string, big: string }> {
  const dir = t.testdir({ temp: {}, 'big.bin': '', 'grüße.txt': 'one\ntwo\n' })
  truncateSync(join(dir, 'big.bin'), 64 * mebibyte)
  const app = await new RunningApp().start(t, exampleFiles, { ...options, uploads: { tempDir: join(dir, 'temp'), ...(options as { uploads?: object }).uploads } })
  return { app, folder: () => join(dir, 'temp', readdirSync(join(dir, 'temp'))[0]!), big: join(dir, 'big.bin') }
}

t.test('takes files of a form from curl, and tells how much has arrived while it does', async t => {
  const { app, folder, big } = await start(t)
  const { stdout } = await run('curl', ['-sN', '--limit-rate', '100M', '-F', 'note=a field', '-F', `file=@${big}`, '-F', `file=@${join(big, '../grüße.txt')}`, `${app.url}/upload-files`])
  const frames = readFrames(stdout)
  t.equal(frames[0]!.event, 'start')
  const first = frames.filter(({ data }) => data.name === 'big.bin').map(({ data }) => data)
  t.ok(first.length > 2, `${first.length} frames`)
  t.same(first.map(({ receivedBytes }) => receivedBytes), first.map(({ receivedBytes }) => receivedBytes).sort((a, b) => a - b))
  t.match(first.at(-1), { state: 'complete', receivedBytes: 64 * mebibyte })
  const last = frames.at(-2)!.data
  t.match(last, { name: 'grüße.txt', state: 'complete', receivedBytes: 8 })
  t.match(frames.at(-1), { event: 'complete', data: { files: 2, sizeBytes: 64 * mebibyte + 8 } })
  t.equal(readFileSync(join(folder(), last.uploadId), 'utf8'), 'one\ntwo\n')
  const processed = readFrames(await (await app.post('/jobs/process-uploads', { fileIds: [last.uploadId] })).text())
  t.match(processed.at(-1)!.data, { processed: 1, lines: 2 })
})

t.test('takes one file as the body, whatever its type', async t => {
  const { app, folder, big } = await start(t)
  const url = `${app.url}/upload-files?name=gr%C3%BC%C3%9Fe.txt`
  for (const args of [['--data-binary', `@${join(big, '../grüße.txt')}`], ['-X', 'POST', '-T', join(big, '../grüße.txt')], ['-H', 'content-type: application/json', '-d', 'no JSON']]) {
    const frames = readFrames((await run('curl', ['-sN', ...args, url])).stdout)
    t.match(frames.at(-1)!.event, 'complete', args[0]!)
    const { name, uploadId } = frames.at(-2)!.data
    t.equal(name, 'grüße.txt')
    t.equal(readFileSync(join(folder(), uploadId), 'utf8'), args[0] === '-H' ? 'no JSON' : 'one\ntwo\n')
  }
})

t.test('keeps nothing of a client that leaves in the middle', async t => {
  const { app, folder, big } = await start(t)
  for (const args of [['-F', `file=@${big}`], ['-X', 'POST', '-T', big]]) {
    const client = spawn('curl', ['-sN', '--limit-rate', '4M', ...args, `${app.url}/upload-files`])
    let text = ''
    client.stdout.setEncoding('utf8').on('data', chunk => { text += chunk })
    while (!/"receivedBytes":[1-9]/.test(text)) await once(client.stdout, 'data')
    const ended = new Promise<{ reason: string }>(resolve => app.instance.mediator.onStreamEnd(resolve))
    t.equal(readdirSync(folder()).length, 1)
    client.kill('SIGKILL')
    t.equal((await ended).reason, 'client-closed')
    t.strictSame(readdirSync(folder()), [], args[0]!)
  }
  t.strictSame(app.logs.filter(({ level }) => level > 30), [])
})

t.test('refuses what is no upload, and what is too much', async t => {
  const { app, folder } = await start(t, { uploads: { maxBytes: 10 } })
  const post = async (init: RequestInit, query = ''): Promise<[number, any]> => {
    const response = await fetch(`${app.url}/upload-files${query}`, { method: 'POST', ...init })
    const text = await response.text()
    return [response.status, response.headers.get('content-type')!.includes('json') ? JSON.parse(text) : readFrames(text).at(-1)!.data]
  }
  const formOf = (count: number, size: number): FormData => {
    const form = new FormData()
    for (let index = 0; index < count; index++) form.append('file', new Blob(['x'.repeat(size)]), 'x')
    return form
  }
  const [status, problem] = await post({})
  t.match([status, problem], [400, { code: 'EXAMPLE_ERR_NO_FILES' }])
  t.match((await post({ body: formOf(0, 0) }))[1], { status: 400 })
  t.match((await post({ body: new FormData(), headers: { 'content-type': 'multipart/form-data' } }))[1], { code: 'EXAMPLE_ERR_MALFORMED_FORM', status: 400 })
  t.match((await post({ body: formOf(1, 11) }))[1], { code: 'EXAMPLE_ERR_UPLOAD_TOO_LARGE', status: 413 })
  t.match((await post({ body: 'x'.repeat(11) }))[1], { code: 'EXAMPLE_ERR_UPLOAD_TOO_LARGE', status: 413 })
  t.match((await post({ body: formOf(101, 1) }))[1], { code: 'FST_FILES_LIMIT', status: 413 })
  t.match(await post({ body: 'x' }, '?name=a%00b'), [400, { code: 'FST_ERR_VALIDATION' }])
  t.match((await post({ body: 'x', headers: { origin: 'https://elsewhere.example', 'sec-fetch-site': 'cross-site' } }))[0], 403)
  t.ok(readdirSync(folder()).length <= 100, 'what was complete before the limit is kept')
})

t.test('ends its answer and the connection where the rest of a refused file would take for ever', async t => {
  const { app } = await start(t, { uploads: { maxBytes: 10 } })
  const socket = connect(app.port, '127.0.0.1').on('error', () => {})
  t.teardown(() => socket.destroy())
  let text = ''
  socket.setEncoding('utf8').on('data', chunk => { text += chunk })
  socket.write('POST /upload-files HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n01234567890')
  await once(socket, 'close')
  t.match(text, 'EXAMPLE_ERR_UPLOAD_TOO_LARGE')
})

t.test('cuts a client that sends nothing for too long, but not one that is slow', async t => {
  const bodyTimeoutMs = 60_000
  const { app } = await start(t, { bodyTimeoutMs })
  // The test's clock: a machine that is busy cuts nobody.
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const silent = connect(app.port, '127.0.0.1').on('error', () => {})
  silent.write('POST /commands/process-files HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{')
  const silentUpload = connect(app.port, '127.0.0.1').on('error', () => {})
  silentUpload.resume().write('POST /upload-files HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n1')
  const closed = [silent, silentUpload].map(async socket => await once(socket, 'close'))
  await app.logged('incoming request', 2)
  const slow = httpRequest(`${app.url}/upload-files`, { method: 'POST' })
  const answered = once(slow, 'response')
  slow.write('x')
  const [response] = await answered
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
  const bytes = 4
  for (let sent = 2; sent <= bytes; sent++) {
    slow.write('x')
    while (!text.includes(`"receivedBytes":${sent}}`)) await once(response, 'data')
    mock.timers.tick(bodyTimeoutMs)
  }
  await Promise.all(closed)
  slow.end()
  await once(response, 'end')
  t.match(readFrames(text).at(-1), { event: 'complete', data: { files: 1, sizeBytes: bytes } })
  t.equal(app.logs.filter(({ msg }) => msg === 'request took too long to arrive').length, 2)
})

t.test('holds nothing of a file in memory', async t => {
  const { child, output } = startServer(t, { PORT: '0', TMPDIR: t.testdir({}) })
  while (!/Open (\S+)\/ /.test(output())) await once(child.stdout!, 'data')
  const [, url] = /Open (\S+)\/ /.exec(output())!
  const rss = (): number => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) * 1_024
  const chunk = Buffer.alloc(mebibyte, 'line of text\n')
  const send = async (path: string, method: string, headers: Record<string, string>, mebibytes: number, before = '', after = ''): Promise<number> => {
    const request = httpRequest(url + path, { method, headers })
    const answered = once(request, 'response')
    await pipeline(Readable.from((function * () {
      yield Buffer.from(before)
      for (let index = 0; index < mebibytes; index++) yield chunk
      yield Buffer.from(after)
    })()), request)
    const [response] = await answered
    for await (const _ of response) void _
    return response.statusCode
  }
  const patch = async (id: string, mebibytes: number): Promise<number> =>
    await send(`/uploads/${id.repeat(32)}`, 'PATCH', { 'upload-offset': '0', 'upload-length': String(mebibytes * mebibyte) }, mebibytes)
  const form = async (mebibytes: number): Promise<number> => await send('/upload-files', 'POST', { 'content-type': 'multipart/form-data; boundary=xx' }, mebibytes,
    '--xx\r\ncontent-disposition: form-data; name="file"; filename="big"\r\n\r\n', '\r\n--xx--\r\n')
  // The first ones compile what all share.
  t.equal(await patch('a', 32), 204)
  t.equal(await form(32), 200)
  for (const [name, upload, size] of [['pieces', async () => await patch('b', 1_024), 1_024], ['a form', async () => await form(192), 192]] as const) {
    const before = rss()
    let peak = before
    const timer = setInterval(() => { peak = Math.max(peak, rss()) }, 20)
    const startedAt = performance.now()
    await upload()
    clearInterval(timer)
    const growth = Math.round((peak - before) / mebibyte)
    t.comment(`${name}: ${size} MiB in ${Math.round(performance.now() - startedAt)} ms, ${Math.round(before / mebibyte)} MiB and ${growth} more`)
    t.ok(growth < 50, `${name} added ${growth} MiB`)
  }
})
