import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openFiles } from '../support/open-files.js'
import { RunningApp } from './running-app.js'

const mebibyte = 1_048_576

function sparseFile (t: Test, sizeBytes: number): string {
  const dir = t.testdir({})
  writeFileSync(join(dir, 'big.bin'), '')
  truncateSync(join(dir, 'big.bin'), sizeBytes)
  return dir
}

function curl (url: string, operation: string): ReturnType<typeof spawn> {
  const body = JSON.stringify({ fileIds: ['big.bin'], operation })
  return spawn('curl', ['-sN', '-X', 'POST', `${url}/commands/process-files`, '-H', 'content-type: application/json', '-d', body])
}

for (const operation of ['analyze', 'compress', 'validate']) {
  t.test(`ends the work at once when curl is killed while it waits for ${operation}`, async t => {
    const dir = sparseFile(t, 4_096 * mebibyte)
    const app = await new RunningApp().start(t, dir)
    const client = curl(app.url, operation)
    let text = ''
    client.stdout!.setEncoding('utf8').on('data', chunk => { text += chunk })
    while (!text.includes('event: progress')) await once(client.stdout!, 'data')
    t.match(text, /"status":"processing","percent":\d+,/)
    client.kill('SIGKILL')
    const killedAt = performance.now()

    // Emitted by the `finally` of the handler, after it has closed the file.
    const { audit, streamId } = await app.logged('file was read in part')
    t.ok(performance.now() - killedAt < 500, `after ${performance.now() - killedAt} ms`)
    t.ok(audit.bytesRead > 0 && audit.bytesRead < audit.sizeBytes)
    t.match(await app.logged('stream ended'), { reason: 'client-closed', streamId, level: 30 })
    t.notOk(app.logs.some(({ level }) => level > 30))
    t.notOk(openFiles().some(path => path.startsWith(dir)))
  })
}

t.test('never holds a file in memory', async t => {
  for (const operation of ['analyze', 'compress', 'validate']) {
    const app = await new RunningApp().start(t, sparseFile(t, 200 * mebibyte))
    // The first run compiles what all runs share.
    await app.run({ fileIds: ['big.bin'], operation })
    const before = process.memoryUsage().rss
    let peak = before
    const timer = setInterval(() => { peak = Math.max(peak, process.memoryUsage().rss) }, 10)
    const frames = await app.run({ fileIds: ['big.bin'], operation })
    clearInterval(timer)
    const growth = Math.round((peak - before) / mebibyte)
    t.ok(growth < 40, `${operation} grew by ${growth} MiB`)
    t.match(frames.at(-1)!.data, { processed: 1, sizeBytes: 200 * mebibyte })
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
