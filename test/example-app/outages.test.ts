import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { CuttingProxy } from '../support/cutting-proxy.js'
import { findProgram } from '../support/server-program.js'
import { nginx, startProxy } from '../proxies/proxy.js'
import { EndlessFile } from './endless-file.js'
import { RunningApp } from './running-app.js'

const nginxMissing = process.env['CI'] === undefined && await findProgram('nginx') === undefined && 'NGINX IS MISSING: install it to test what its 502 does'

t.test('a job in Chromium behind nginx', { skip: chromiumMissing || nginxMissing }, async t => {
  t.test('goes on after some seconds of 502, without a frame lost', async t => {
    const { app, tab, file, proxy } = await openBehindNginx(t)
    await start(tab)
    const refused = tab.page.waitForResponse(response => response.status() === 502)
    proxy.break()
    await refused
    await tab.until(isIn('reconnecting'))
    // It asks again by itself, and is refused again.
    await tab.page.waitForResponse(response => response.status() === 502)
    file.end()
    await app.logged('stream ended')
    proxy.mend()
    await tab.until(isIn('finished'))
    t.match(await shown(tab), { status: /^Finished: 4 files/, full: 4 })
    t.equal(app.logs.filter(({ msg }) => msg.startsWith('file was read')).length, 4, 'the job ran once')
    t.strictSame(tab.complaints.filter(text => !text.startsWith('error: Failed to load resource')), [])
  })

  t.test('says that its job is gone when the server was started anew', async t => {
    const { tab, proxy } = await openBehindNginx(t)
    await start(tab)
    proxy.break()
    await tab.until(isIn('reconnecting'))
    const next = await new RunningApp().start(t)
    proxy.leadTo(next.port)
    proxy.mend()
    await tab.until(isIn('gone'))
    t.match(await shown(tab), { status: /^Gone: the server does not keep this job any more/ })
    // And it can be used again.
    await tab.reload()
    await tab.until(isReady)
    await tab.page.getByRole('button', { name: 'Run' }).click()
    await tab.until(isIn('finished'))
    t.strictSame(tab.complaints.filter(text => !text.startsWith('error: Failed to load resource')), [])
  })

  t.test('says that its job has failed when the server closes, and that it is gone on the next one', async t => {
    const { app, tab, proxy } = await openBehindNginx(t)
    await start(tab)
    const closed = app.instance.close()
    await tab.until(isIn('failed'))
    t.match((await shown(tab)).status, /^Failed: Service Unavailable/)
    await closed
    const next = await new RunningApp().start(t)
    proxy.leadTo(next.port)
    await tab.reload()
    await tab.until(isIn('gone'))
    t.strictSame(tab.complaints.filter(text => !text.startsWith('error: Failed to load resource')), [])
  })
})

t.test('a server that is started anew gets all bytes of an upload that was in the middle', { skip: chromiumMissing }, async t => {
  const dir = t.testdir({ 'big.bin': Buffer.alloc(16 * 2 ** 20, 'line\n') })
  const app = await new RunningApp().start(t)
  const proxy = await new CuttingProxy().start(t, app.port)
  const tab = await Tab.open(t, proxy.url)
  const session = await tab.page.context().newCDPSession(tab.page)
  const send = async (uploadThroughput: number): Promise<void> => {
    await session.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput })
  }
  await send(2 ** 20)
  await tab.page.getByLabel('Pick files').setInputFiles(join(dir, 'big.bin'))
  await tab.until("document.querySelector('li progress')?.value > 0")
  proxy.break()
  await tab.page.getByText('The connection was lost: it goes on by itself').waitFor()
  const next = await new RunningApp().start(t)
  const received: Array<string | undefined> = []
  next.instance.server.on('request', ({ method, headers }) => { if (method === 'PATCH') received.push(headers['upload-offset'] as string) })
  await send(-1)
  proxy.leadTo(next.port)
  proxy.mend()
  await tab.page.getByText('1 file uploaded.').waitFor()
  // The 2^24 bytes hold so many whole lines, and one that is cut.
  await tab.page.getByText('3,355,444 lines, SHA-256').waitFor()
  t.same(received, ['0'])
  t.strictSame(tab.complaints.filter(text => !text.startsWith('error: Failed to load resource')), [])
})

const isHalfDone = "document.querySelectorAll('li.done').length === 3 && /% of/.test(document.querySelector('li:last-child p').textContent)"
const isReady = `${isIn('idle')} && document.querySelectorAll('#files input').length > 0`

function isIn (state: string): string {
  return `document.getElementById('status').dataset.state === '${state}'`
}

/** Chromium, nginx as the deployment guide has it, a proxy that can be broken, and the app. */
async function openBehindNginx (t: Test) {
  const file = new EndlessFile(t)
  const app = await new RunningApp().start(t, file.folder)
  const proxy = await new CuttingProxy().start(t, app.port)
  const folder = await mkdtemp(join(tmpdir(), 'nginx-'))
  const { port } = await startProxy(t, nginx, Number(new URL(proxy.url).port), { folder })
  t.teardown(async () => await rm(folder, { recursive: true, force: true }))
  const tab = await Tab.open(t, `https://localhost:${port}/eventsource/`, { ignoreHTTPSErrors: true })
  await tab.until(isReady)
  return { app, file, proxy, tab }
}

async function start (tab: Tab): Promise<void> {
  await tab.page.getByRole('button', { name: 'Run' }).click()
  await tab.until(isHalfDone)
}

async function shown (tab: Tab): Promise<{ status: string, full: number }> {
  return {
    status: await tab.page.locator('#status').innerText(),
    full: await tab.page.locator('progress[value="100"]').count()
  }
}
