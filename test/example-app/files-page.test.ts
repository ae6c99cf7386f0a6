import { createHash } from 'node:crypto'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { CuttingProxy } from '../support/cutting-proxy.js'
import { RunningApp, exampleFiles } from './running-app.js'

const mebibyte = 2 ** 20

t.test('the page of files in Chromium', { skip: chromiumMissing }, async t => {
  t.test('uploads files that are picked, and says what is in them', async t => {
    const { tab } = await open(t)
    await tab.page.getByLabel('Pick files').setInputFiles([
      { name: 'grüße.txt', mimeType: 'text/plain', buffer: Buffer.from('one\ntwo\n') },
      { name: '../<b>empty</b>', mimeType: '', buffer: Buffer.alloc(0) }
    ])
    const sha256 = createHash('sha256').update('one\ntwo\n').digest('hex')
    await tab.page.getByText(`2 lines, SHA-256 ${sha256}`).waitFor()
    await tab.page.getByText('0 lines, SHA-256 e3b0c44298fc').waitFor()
    await tab.page.getByText('2 files uploaded.').waitFor()
    t.equal(await tab.page.getByRole('progressbar', { name: /^grüße\.txt/ }).getAttribute('value'), '1')
    await tab.shoot('files-done')

    await tab.reload()
    await tab.page.getByText(`2 lines, SHA-256 ${sha256}`).waitFor()
    await tab.page.getByRole('button', { name: 'Clear the list' }).click()
    await tab.page.getByText('No files yet.').waitFor()
    await tab.reload()
    await tab.page.getByText('No files yet.').waitFor()
    t.strictSame(tab.complaints, [])
  })

  t.test('uploads files that are dropped', async t => {
    const { tab } = await open(t)
    await drop(tab, "[new File(['one\\n'], 'dropped.txt')]")
    await tab.page.getByText('1 line, SHA-256').waitFor()
    t.strictSame(tab.complaints, [])
  })

  t.test('goes on after a reload in the middle, and cancels another one', async t => {
    const { tab, app, big } = await open(t)
    const mend = await slow(tab)
    const received = watchOffsets(app)
    await tab.page.getByLabel('Pick files').setInputFiles([big('a.bin', 24), big('b.bin', 24), big('c.bin', 24)])
    await tab.until("[...document.querySelectorAll('li progress')].filter(bar => bar.value > 0).length === 2")
    await tab.page.getByText('Uploading: 0 of 3 files complete…').waitFor()
    t.ok(await tab.page.getByText('Waiting').isVisible(), 'two at a time')
    await tab.shoot('files-uploading')
    await tab.page.setViewportSize({ width: 360, height: 900 })
    t.equal(await tab.evaluate('document.documentElement.scrollWidth'), 360)
    await tab.shoot('files-phone')
    await tab.reload()
    await tab.until("[...document.querySelectorAll('li progress')].filter(bar => bar.value > 0).length === 2")
    await tab.page.getByRole('button', { name: 'Cancel b.bin' }).click()
    await tab.page.getByText('Uploading: 0 of 2 files complete…').waitFor()
    await mend()
    await tab.page.getByText('2 files uploaded.').waitFor()
    await tab.until("document.querySelectorAll('.contents code').length === 2")
    t.match(await tab.page.locator('li[data-phase=cancelled]').textContent(), /b\.bin.*Cancelled/)
    t.ok(received().some(offset => offset > 0), `went on at ${received().join()}`)
    t.strictSame(tab.complaints, [])
  })

  t.test('goes on when the connection was lost', async t => {
    const { tab, big, proxy, app } = await open(t)
    const mend = await slow(tab)
    const offsets = watchOffsets(app)
    await tab.page.getByLabel('Pick files').setInputFiles([big('a.bin', 24)])
    await tab.until("document.querySelector('li progress')?.value > 0")
    proxy.break()
    await tab.page.getByText('The connection was lost: it goes on by itself').waitFor()
    await tab.shoot('files-interrupted')
    await mend()
    proxy.mend()
    await tab.page.getByText('1 file uploaded.').waitFor()
    t.ok(offsets().length > 1 && offsets().slice(1).every(offset => offset > 0), `went on at ${offsets().join()}`)
    t.strictSame(tab.complaints.filter(text => !text.includes('net::ERR_')), [])
  })

  t.test('cancels in all tabs what is cancelled in one, and sends nothing twice', async t => {
    const { tab, big, app, proxy } = await open(t)
    const mend = await slow(tab)
    const offsets = watchOffsets(app)
    const file = (tab: Tab, name: string, phase: string) => tab.page.locator(`li[data-phase=${phase}]`).filter({ hasText: name })
    await tab.page.getByLabel('Pick files').setInputFiles([big('a.bin', 24), big('b.bin', 24), big('c.bin', 24)])
    await tab.until("[...document.querySelectorAll('li progress')].filter(bar => bar.value > 0).length === 2")
    const other = await tab.openBeside(proxy.url)
    for (const name of ['a.bin', 'b.bin', 'c.bin']) await file(other, name, 'waiting').waitFor()
    // One that nobody sends yet, one that this tab sends, and one that the other tab waits for.
    await tab.page.getByRole('button', { name: 'Cancel c.bin' }).click()
    await file(tab, 'c.bin', 'cancelled').waitFor()
    await tab.page.getByRole('button', { name: 'Cancel a.bin' }).click()
    for (const name of ['a.bin', 'c.bin']) await file(other, name, 'cancelled').waitFor()
    await other.page.getByRole('button', { name: 'Cancel b.bin' }).click()
    await file(tab, 'b.bin', 'cancelled').waitFor()

    await tab.page.getByLabel('Pick files').setInputFiles([big('d.bin', 24)])
    await file(tab, 'd.bin', 'sending').waitFor()
    await other.reload()
    await file(other, 'd.bin', 'waiting').waitFor()
    t.equal(await other.page.locator('li').count(), 1)
    await mend()
    for (const each of [tab, other]) await file(each, 'd.bin', 'complete').waitFor()
    t.same(offsets(), [0, 0, 0])
    t.strictSame([...tab.complaints, ...other.complaints].filter(text => !text.includes('Failed to load resource')), [])
  })

  t.test('asks for the progress of many files once, and not with each that is complete', async t => {
    const { tab } = await open(t)
    let watches = 0
    let sent = 0
    tab.page.on('request', request => { if (request.url().endsWith('/watch-uploads')) watches++ })
    // The server answers to some, and keeps the others waiting.
    await tab.page.route('**/uploads/*', async route => {
      if (++sent <= 6) await route.fulfill({ status: 204 })
    })
    await drop(tab, "Array.from({ length: 300 }, (_, index) => new File(['one'], index + '.txt'))")
    await tab.until("document.querySelectorAll('li[data-phase=complete]').length === 6")
    await tab.page.getByText('Uploading: 6 of 300 files complete…').waitFor()
    // One for what is shown first, one for as many as a stream takes.
    t.ok(watches <= 2, `${watches} streams`)
  })

  t.test('takes a file whose name is no valid text', async t => {
    const { tab } = await open(t)
    await tab.evaluate("Object.defineProperty(File.prototype, 'name', { get: () => 'half \\ud83d.txt' })")
    await drop(tab, "[new File(['one\\n'], '')]")
    await tab.page.getByText('1 line, SHA-256').waitFor()
    t.strictSame(tab.complaints, [])
  })

  t.test('cancels all', async t => {
    const { tab, big } = await open(t, { dark: true })
    await slow(tab)
    await tab.page.getByLabel('Pick files').setInputFiles([big('a.bin', 24), big('b.bin', 24), big('c.bin', 24)])
    await tab.until("[...document.querySelectorAll('li progress')].filter(bar => bar.value > 0).length === 2")
    await tab.shoot('files-dark')
    await tab.page.getByRole('button', { name: 'Cancel all' }).click()
    await tab.until("document.querySelectorAll('li[data-phase=cancelled]').length === 3")
    await tab.reload()
    await tab.page.getByText('No files yet.').waitFor()
    t.strictSame(tab.complaints, [])
  })

  t.test('says in words why a file is refused', async t => {
    const { tab } = await open(t, { uploads: { maxBytes: 10 } })
    await tab.page.getByLabel('Pick files').setInputFiles([{ name: 'long.txt', mimeType: '', buffer: Buffer.alloc(11) }])
    await tab.page.getByText('A file may have 10 bytes at most').waitFor()
    t.equal(await tab.page.locator('li').getAttribute('data-phase'), 'failed')
  })
})

async function open (t: Test, { dark = false, uploads = {} }: { dark?: boolean, uploads?: object } = {}) {
  const dir = t.testdir({ temp: {} })
  const app = await new RunningApp().start(t, exampleFiles, { uploads: { ...uploads, tempDir: join(dir, 'temp') } })
  const proxy = await new CuttingProxy().start(t, app.port)
  const tab = await Tab.open(t, proxy.url, { dark })
  const big = (name: string, mebibytes: number): string => {
    writeFileSync(join(dir, name), '')
    truncateSync(join(dir, name), mebibytes * mebibyte)
    return join(dir, name)
  }
  return { app, tab, big, proxy }
}

/** Drops what an expression gives. */
async function drop (tab: Tab, files: string): Promise<void> {
  const data = await tab.page.evaluateHandle(`(() => {
    const data = new DataTransfer()
    for (const file of ${files}) data.items.add(file)
    return data
  })()`)
  await tab.page.dispatchEvent('.drop', 'drop', { dataTransfer: data })
}

/** Sends as a bad line does. Returns what mends the line. */
async function slow (tab: Tab): Promise<() => Promise<void>> {
  const session = await tab.page.context().newCDPSession(tab.page)
  await session.send('Network.enable')
  const send = async (uploadThroughput: number): Promise<void> => {
    await session.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput })
  }
  await send(mebibyte)
  return async () => await send(-1)
}

/** The offsets at which requests have begun. */
function watchOffsets (app: RunningApp): () => number[] {
  const offsets: number[] = []
  app.instance.server.on('request', ({ headers, method }) => { if (method === 'PATCH') offsets.push(Number(headers['upload-offset'])) })
  return () => offsets
}
