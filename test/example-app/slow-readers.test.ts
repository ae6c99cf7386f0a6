import { once } from 'node:events'
import { readdirSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { RawClient } from '../support/raw-client.js'
import { RunningApp } from './running-app.js'

function hugeFile (t: Test): string {
  const folder = t.testdir({ 'big.bin': '' })
  truncateSync(join(folder, 'big.bin'), 2 ** 34)
  writeFileSync(join(folder, 'small.txt'), 'small')
  return folder
}

/** Takes the first bytes of an answer, and no more. */
async function readLittle (t: Test, app: RunningApp, path: string): Promise<RawClient> {
  const client = new RawClient(app.port)
  t.teardown(() => client.socket.destroy())
  client.request('GET', path)
  await once(client.socket, 'data')
  t.match(client.text, /^HTTP\/1\.1 200 /, path)
  client.socket.pause()
  return client
}

const downloads = ['/downloads/big.bin', '/downloads/gzip/big.bin', '/import/sample.csv?rows=1000000']

t.test('cuts a download that nobody reads, closes its file, and leaves other connections alone', async t => {
  const folder = hugeFile(t)
  const app = await new RunningApp().start(t, folder, { downloadTimeoutMs: 200 })
  const reading = new RawClient(app.port)
  t.teardown(() => reading.socket.destroy())
  reading.request('GET', '/downloads/small.txt')
  await reading.until('small')
  const stream = new RawClient(app.port)
  t.teardown(() => stream.socket.destroy())
  stream.request('GET', '/stream/countdown/60')
  await stream.until('event: start')

  const clients = await Promise.all(downloads.map(async path => await readLittle(t, app, path)))
  await app.logged('download was not read', downloads.length)
  for (const { socket } of clients) socket.resume()
  await Promise.all(clients.map(async client => await client.closed()))
  // Their descriptors are closed by another thread.
  while (openFiles().some(path => path.startsWith(folder))) await new Promise(resolve => setImmediate(resolve))
  reading.request('GET', '/downloads/small.txt')
  await reading.until('smallHTTP/1.1 200')
  t.notOk(stream.socket.closed)
  t.strictSame(app.logs.filter(({ level }) => level > 30), [])
})

t.test('closes although clients read no download to its end, and send no upload', async t => {
  const app = await new RunningApp().start(t, hugeFile(t))
  for (const path of downloads) await readLittle(t, app, path)
  const sending = new RawClient(app.port)
  t.teardown(() => sending.socket.destroy())
  const requests = app.logs.filter(({ msg }) => msg === 'incoming request').length
  sending.request('PUT', `/import/files/${'a'.repeat(32)}`, { headers: { 'content-type': 'text/csv', 'content-length': '100' } })
  await app.logged('incoming request', requests + 1)
  const toldAt = performance.now()
  await app.instance.close()
  t.ok(performance.now() - toldAt < 10_000, `after ${performance.now() - toldAt} ms`)
})

function openFiles (): string[] {
  return readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return []
    }
  })
}
