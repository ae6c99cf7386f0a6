import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { openFiles } from '../support/open-files.js'
import { RunningApp, exampleFiles } from './running-app.js'

const run = promisify(execFile)
const text = 'a line of text\n'.repeat(1_000)

t.test('sends a file as it is, and parts of it', async t => {
  const app = await new RunningApp().start(t, t.testdir({ 'a.txt': text }))
  const url = `${app.url}/downloads/a.txt`
  const whole = await fetch(url)
  t.equal(await whole.text(), text)
  t.equal(whole.headers.get('accept-ranges'), 'bytes')
  t.equal(whole.headers.get('content-length'), String(text.length))
  t.match(whole.headers.get('content-disposition'), /^attachment; filename="?a\.txt/)
  const get = async (range: string, headers: Record<string, string> = {}): Promise<[number, string, string | null]> => {
    const response = await fetch(url, { headers: { range, ...headers } })
    return [response.status, await response.text(), response.headers.get('content-range')]
  }
  t.strictSame(await get('bytes=2-5'), [206, 'line', 'bytes 2-5/15000'])
  t.strictSame(await get('bytes=14996-'), [206, 'ext\n', 'bytes 14996-14999/15000'])
  t.strictSame(await get('bytes=-4'), [206, 'ext\n', 'bytes 14996-14999/15000'])
  t.match(await get('bytes=15000-'), [416, /Range Not Satisfiable/, 'bytes */15000'])
  t.match(await get('bytes=2-5', { 'if-range': '"of another version"' }), [200, text])
  // Fetch would tell caches not to answer.
  t.equal((await app.instance.inject({ url: '/downloads/a.txt', headers: { 'if-none-match': whole.headers.get('etag')! } })).statusCode, 304)
})

t.test('goes on where curl has been cut', async t => {
  const dir = t.testdir({ files: { 'a.txt': text }, 'a.txt': text.slice(0, 7_000) })
  const app = await new RunningApp().start(t, join(dir, 'files'))
  const { stdout } = await run('curl', ['-s', '-C', '-', '-o', join(dir, 'a.txt'), '-w', '%{http_code} %{size_download}', `${app.url}/downloads/a.txt`])
  t.equal(stdout, '206 8000')
  t.equal(readFileSync(join(dir, 'a.txt'), 'utf8'), text)
})

t.test('sends files whatever they are called, and nothing outside of their folder', async t => {
  const dir = t.testdir({ secret: 'secret', files: {} })
  const names = ['grüße.txt', '😀', "it's (1)*.txt", '%2e%2e', 'a?b#c', '"quoted"', '.hidden', 'line\nbreak', '-', 'gzip']
  for (const name of names) writeFileSync(join(dir, 'files', name), name)
  symlinkSync('../secret', join(dir, 'files', 'link'))
  mkdirSync(join(dir, 'files', 'folder'))
  const app = await new RunningApp().start(t, join(dir, 'files'))
  for (const name of names) {
    for (const kind of ['', 'gzip/']) {
      const response = await fetch(`${app.url}/downloads/${kind}${encodeURIComponent(name)}`)
      const body = Buffer.from(await response.arrayBuffer())
      t.equal(response.status, 200, kind + JSON.stringify(name))
      t.equal((kind === '' ? body : gunzipSync(body)).toString(), name)
      const encoded = /filename\*=UTF-8''(\S+)/.exec(response.headers.get('content-disposition')!)?.[1]
      if (kind !== '') t.equal(decodeURIComponent(encoded!), `${name}.gz`)
      else if (name === 'grüße.txt' || name === '😀') t.equal(decodeURIComponent(encoded!), name)
    }
  }
  for (const name of ['link', 'folder', 'unknown', '..%2fsecret', '%2e%2e%2fsecret', '..%5csecret', '%00', '.%2f']) {
    for (const kind of ['', 'gzip/']) t.match((await fetch(`${app.url}/downloads/${kind}${name}`)).status, /^40[04]$/, kind + name)
  }
})

t.test('compresses on the way, and stops when the client leaves', async t => {
  const dir = t.testdir({ 'big.bin': '' })
  truncateSync(join(dir, 'big.bin'), 2 ** 36)
  const app = await new RunningApp().start(t, dir)
  const socket = connect(app.port, '127.0.0.1').on('error', () => {})
  socket.write('GET /downloads/gzip/big.bin HTTP/1.1\r\nhost: x\r\n\r\n')
  const [head] = await once(socket, 'data')
  t.match(String(head), /content-type: application\/gzip/i)
  t.notMatch(String(head), /content-length/i)
  socket.destroy()
  await app.logged('download was left')
  // The descriptor is closed by another thread.
  while (openFiles().some(path => path.startsWith(dir))) await new Promise(resolve => setImmediate(resolve))
  t.strictSame(app.logs.filter(({ level }) => level > 30), [])
  t.equal((await fetch(`${app.url}/downloads/gzip/big.bin`, { method: 'HEAD' })).status, 404, 'HEAD reads nothing')
})

t.test('the page of downloads in Chromium', { skip: chromiumMissing }, async t => {
  const app = await new RunningApp().start(t)
  const tab = await Tab.open(t, `${app.url}/downloads`, { dark: true, viewport: { width: 360, height: 900 } })
  const listed = await (await fetch(`${app.url}/files`)).json() as unknown[]
  await tab.page.getByText(`${listed.length} files.`).waitFor()
  for (const [link, name] of [['grüße.txt', 'grüße.txt'], ['grüße.txt, compressed', 'grüße.txt.gz']] as const) {
    const [download] = await Promise.all([tab.page.waitForEvent('download'), tab.page.getByRole('link', { name: link, exact: true }).click()])
    t.equal(download.suggestedFilename(), name)
    const body = readFileSync(await download.path())
    t.same(name.endsWith('.gz') ? gunzipSync(body) : body, readFileSync(join(exampleFiles, 'grüße.txt')))
  }
  t.equal(await tab.evaluate('document.documentElement.scrollWidth'), 360)
  await tab.shoot('downloads-phone')
  t.strictSame(tab.complaints, [])
})
