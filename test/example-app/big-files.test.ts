import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openFiles } from '../support/open-files.js'
import { RunningApp } from './running-app.js'

const mebibyte = 1_048_576

// Takes no room on the disk.
function sparseFile (t: Test, sizeBytes: number): string {
  const dir = t.testdir({ 'big.bin': '', 'first.bin': '' })
  truncateSync(join(dir, 'big.bin'), sizeBytes)
  truncateSync(join(dir, 'first.bin'), 8 * mebibyte)
  return dir
}

function curl (url: string, operation: string): ReturnType<typeof spawn> {
  const body = JSON.stringify({ fileIds: ['big.bin'], operation })
  return spawn('curl', ['-sN', '-X', 'POST', `${url}/commands/process-files`, '-H', 'content-type: application/json', '-d', body])
}

for (const operation of ['analyze', 'compress', 'validate']) {
  t.test(`ends the work at once when curl is killed while it waits for ${operation}`, async t => {
    // Work that went on would take minutes.
    const dir = sparseFile(t, 131_072 * mebibyte)
    const app = await new RunningApp().start(t, dir)
    const client = curl(app.url, operation)
    let text = ''
    client.stdout!.setEncoding('utf8').on('data', chunk => { text += chunk })
    while (!text.includes('event: progress')) await once(client.stdout!, 'data')
    t.match(text, /"status":"processing","percent":\d+,/)
    client.kill('SIGKILL')

    // Emitted by the `finally` of the handler, after it has closed the file.
    const { audit, streamId } = await app.logged('file was read in part')
    t.ok(audit.bytesRead > 0 && audit.bytesRead < audit.sizeBytes)
    t.match(await app.logged('stream ended'), { reason: 'client-closed', streamId, level: 30 })
    t.notOk(app.logs.some(({ level }) => level > 30))
    t.notOk(openFiles().some(path => path.startsWith(dir)))
  })
}

t.test('never holds a file in memory', async t => {
  for (const operation of ['analyze', 'compress', 'validate']) {
    const app = await new RunningApp().start(t, sparseFile(t, 128 * mebibyte))
    // The first run compiles what all runs share.
    await app.run({ fileIds: ['first.bin'], operation })
    const before = process.memoryUsage().rss
    let peak = before
    const timer = setInterval(() => { peak = Math.max(peak, process.memoryUsage().rss) }, 10)
    const frames = await app.run({ fileIds: ['big.bin'], operation })
    clearInterval(timer)
    const growth = Math.round((peak - before) / mebibyte)
    // What else the process does, and when it collects its garbage, is not known: but half of the file is more than that.
    t.ok(growth < 64, `${operation} grew by ${growth} MiB`)
    t.match(frames.at(-1)!.data, { processed: 1, sizeBytes: 128 * mebibyte })
  }
})

t.test('reports a big file on its way, with percentages that only grow', async t => {
  const app = await new RunningApp().start(t, sparseFile(t, 200 * mebibyte))
  const frames = (await app.run({ fileIds: ['big.bin'], operation: 'compress' })).slice(1, -1).map(({ data }) => data)
  const last = frames.pop()
  t.match(last, { status: 'completed', percent: 100, sizeBytes: 200 * mebibyte })
  t.ok(frames.length > 0)
  t.same(frames.map(({ percent }) => percent), frames.map(({ percent }) => percent).sort((a, b) => a - b))
  t.ok(frames.every(({ status, percent }) => status === 'processing' && percent < 100))
})
