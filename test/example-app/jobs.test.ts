import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import type { Test } from 'tap'
import { readFrames } from '../../lib/testing/index.js'
import type { Frame } from '../../lib/testing/index.js'
import { EndlessFile } from './endless-file.js'
import { RunningApp } from './running-app.js'
import { startServer } from './started-server.js'

const fileIds = ['a.txt', EndlessFile.fileId, 'b.txt', 'c.txt']

/** A client in a process of its own, which can be killed. */
class Client {
  readonly child
  text = ''

  constructor (t: Test, command: string, args: readonly string[]) {
    this.child = spawn(command, args)
    this.child.stdout.setEncoding('utf8').on('data', (chunk: string) => { this.text += chunk })
    t.teardown(() => this.child.kill('SIGKILL'))
  }

  /** Whole frames only. */
  get frames (): Frame[] {
    return readFrames(this.text.slice(0, this.text.lastIndexOf('\n\n') + 2))
  }

  async until (isThere: (frames: Frame[]) => boolean): Promise<void> {
    while (!isThere(this.frames)) {
      if (this.child.stdout.closed) throw new Error(`it ended with ${JSON.stringify(this.text)}`)
      await Promise.race([once(this.child.stdout, 'data'), once(this.child.stdout, 'close')])
    }
  }

  /** Dies without a word, and resolves what it had got. */
  async kill (): Promise<Frame[]> {
    const closed = once(this.child, 'close')
    this.child.kill('SIGKILL')
    await closed
    return this.frames
  }

  async closed (): Promise<Frame[]> {
    if (this.child.exitCode === null || !this.child.stdout.closed) await once(this.child, 'close')
    return this.frames
  }
}

function curl (t: Test, ...args: string[]): Client {
  return new Client(t, 'curl', ['-sN', ...args])
}

function post (t: Test, url: string): Client {
  return curl(t, '-X', 'POST', url, '-H', 'content-type: application/json', '-d', JSON.stringify({ fileIds }))
}

function resume (t: Test, url: string, id: string): Client {
  return curl(t, '-H', `Last-Event-ID: ${id}`, url)
}

function hasProgress (frames: Frame[]): boolean {
  return frames.some(({ data }) => data.status === 'processing')
}

t.test('goes on without its client, and each client that comes back goes on where it was, without a gap', async t => {
  const file = new EndlessFile(t)
  const app = await new RunningApp().start(t, file.folder)
  const first = post(t, `${app.url}/jobs/process-files`)
  await first.until(hasProgress)
  const seen = await first.kill()
  const { streamId, url, resumable } = seen[0]!.data
  t.strictSame([url, resumable], [`/streams/${streamId}`, true])

  const second = resume(t, app.url + url, seen.at(-1)!.id!)
  await second.until(hasProgress)
  const more = await second.kill()
  const third = resume(t, app.url + url, more.at(-1)!.id!)
  await third.until(hasProgress)
  const another = curl(t, app.url + url)
  await another.until(hasProgress)
  file.end()
  const rest = await third.closed()

  const all = [...seen, ...more, ...rest]
  t.strictSame(all.map(({ id }) => id), all.map((_, index) => `${streamId}.${index + 1}${index === all.length - 1 ? '.end' : ''}`))
  t.strictSame(await another.closed(), all, 'who reads from the start gets the same frames')
  t.strictSame(all.filter(({ data }) => data.status === 'completed').map(({ data }) => data.fileId), fileIds)
  t.match(all.at(-1), { event: 'complete', data: { processed: 4 } })
  t.strictSame(await resume(t, app.url + url, seen.at(-1)!.id!).closed(), all.slice(seen.length), 'and it is kept after its end')
  t.equal((await fetch(app.url + url, { headers: { 'last-event-id': all.at(-1)!.id! } })).status, 204)
  t.equal(app.logs.filter(({ msg, audit }) => audit !== undefined && msg === 'file was read').length, 3)
  t.equal(app.logs.filter(({ msg }) => msg === 'file was read in part').length, 1, 'no file was read twice')
})

t.test('keeps nothing of a command, whose client ends it by leaving', async t => {
  const file = new EndlessFile(t)
  const app = await new RunningApp().start(t, file.folder)
  const client = post(t, `${app.url}/commands/process-files`)
  await client.until(hasProgress)
  const [start] = await client.kill()
  t.match(start!.data, { resumable: false, url: undefined })
  t.match(await app.logged('stream ended'), { reason: 'client-closed', streamId: start!.data.streamId })
  t.equal((await fetch(`${app.url}/streams/${start!.data.streamId}`)).status, 404)
  t.equal((await app.post('/commands/process-files', { fileIds }, { 'idempotency-key': 'k'.repeat(22) })).status, 400)
})

t.test('is cancelled by DELETE, which ends the work and tells the same whenever it is asked', async t => {
  const file = new EndlessFile(t)
  const app = await new RunningApp().start(t, file.folder)
  const client = post(t, `${app.url}/jobs/process-files`)
  await client.until(hasProgress)
  const { url, streamId } = client.frames[0]!.data
  const remove = async (): Promise<object> => await (await fetch(app.url + url, { method: 'DELETE' })).json() as object
  const cancelled = await remove()
  t.match(cancelled, { streamId, command: 'process-files', state: 'cancelled', problem: { code: 'MEDIATOR_ERR_CANCELLED' } })
  t.match((await client.closed()).at(-1), { event: 'failed', data: { code: 'MEDIATOR_ERR_CANCELLED', status: 409 } })
  t.match(await app.logged('file was read in part'), { streamId }, 'the file is closed')
  t.strictSame(await remove(), cancelled)
  t.strictSame(await (await fetch(app.url + url, { headers: { accept: 'application/json' } })).json(), cancelled)

  file.end()
  const completed = post(t, `${app.url}/jobs/process-files`)
  const frames = await completed.closed()
  const response = await fetch(app.url + frames[0]!.data.url, { method: 'DELETE' })
  t.match(await response.json(), { state: 'completed', result: frames.at(-1)!.data }, 'what has completed stays so')
})

t.test('starts once for all who send the same key, and tells them where it is', async t => {
  const file = new EndlessFile(t)
  const app = await new RunningApp().start(t, file.folder)
  const send = async (key: string, input: object = { fileIds }): Promise<Response> =>
    await app.post('/jobs/process-files', input, { prefer: 'respond-async', 'idempotency-key': key })
  const key = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'
  const answers = await Promise.all(Array.from({ length: 5 }, () => send(key)))
  const urls = answers.map(({ status, headers }) => `${status} ${headers.get('location')}`)
  t.equal(new Set(urls).size, 1)
  t.match(urls[0], /^202 \/streams\/[\w-]{22}$/)
  t.equal(app.instance.mediator.stats().streams, 1)
  t.equal((await send(key, { fileIds: ['a.txt'] })).status, 422)
  t.equal((await send('1')).status, 400, 'a key that others could guess')
  file.end()
  const frames = readFrames(await (await fetch(app.url + answers[0]!.headers.get('location'))).text())
  t.equal(frames.at(-1)!.event, 'complete')
  t.equal(app.logs.filter(({ msg }) => msg.startsWith('file was read')).length, fileIds.length)
})

t.test('tells nobody which jobs there are', async t => {
  const app = await new RunningApp().start(t)
  t.equal((await fetch(`${app.url}/streams`)).status, 404)
  t.equal((await fetch(`${app.url}/streams/`)).status, 404)
})

t.test('tells all its readers when the server is told to end in the middle', async t => {
  const { child, output } = startServer(t, { PORT: '0', FILES: new EndlessFile(t).folder })
  while (!/^curl .*jobs.*\n.*\n/m.test(output())) await once(child.stdout!, 'data')
  const [start, goOn] = Array.from(output().matchAll(/^curl .*\/(?:jobs|streams)\/.*$/gm), ([line]) => line) as [string, string]
  // The lines as they are printed, with what their user has seen. The shell becomes curl.
  const shell = (line: string): Client => new Client(t, 'sh', ['-c', `exec ${line}`])
  const first = shell(start)
  await first.until(hasProgress)
  const seen = first.frames.find(({ data }) => data.status === 'processing')!
  const second = shell(goOn.replace('<id>', seen.id!).replace('<stream id>', first.frames[0]!.data.streamId))
  await second.until(hasProgress)
  child.kill('SIGTERM')
  const [[code], frames, resumed] = await Promise.all([once(child, 'exit'), first.closed(), second.closed()])
  t.equal(code, 0)
  t.match(frames.at(-1), { event: 'failed', data: { code: 'MEDIATOR_ERR_SHUTTING_DOWN', retryable: true } })
  t.strictSame(resumed, frames.slice(frames.indexOf(frames.find(({ id }) => id === seen.id)!) + 1))
})
