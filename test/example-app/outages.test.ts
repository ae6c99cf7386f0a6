import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { CuttingProxy } from '../support/cutting-proxy.js'
import { findProgram } from '../support/server-program.js'
import { nginx, startProxy } from '../proxies/proxy.js'
import { EndlessFile } from './endless-file.js'
import { FakeModel, begin, ending, token } from './fake-model.js'
import { RunningApp, exampleFiles } from './running-app.js'

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

t.test('a chat in Chromium behind nginx', { skip: chromiumMissing || nginxMissing }, async t => {
  t.test('goes on after some seconds of 502, and asks its model once', async t => {
    const { tab, proxy, model, answer } = await openChat(t)
    const refused = tab.page.waitForResponse(response => response.status() === 502)
    proxy.break()
    await refused
    await tab.page.getByText('Reconnecting').waitFor()
    model.write(token(' and many'))
    await tab.page.waitForResponse(response => response.status() === 502)
    model.end(token(' more') + ending)
    proxy.mend()
    await tab.page.getByRole('log', { name: 'Messages' }).getByText('One and many more').waitFor()
    t.equal(await answer.count(), 0)
    t.equal(model.requests(), 1)
    t.strictSame(tab.complaints.filter(text => !text.startsWith('error: Failed to load resource')), [])
  })

  t.test('says that its answer is gone when the server was started anew, and can ask again', async t => {
    const { tab, proxy, model, answer, startAnew } = await openChat(t)
    proxy.break()
    await tab.page.getByText('Reconnecting').waitFor()
    proxy.leadTo((await startAnew()).port)
    proxy.mend()
    await tab.page.getByText(/^The end was not seen: There is no such stream/).waitFor()
    t.match(await answer.textContent(), 'One')
    const asked = model.next()
    await tab.page.getByRole('button', { name: 'Try again' }).click()
    await asked
    model.end(token('Another') + ending)
    await tab.page.getByRole('log', { name: 'Messages' }).getByText('Another').waitFor()
    t.strictSame(tab.complaints.filter(text => !text.startsWith('error: Failed to load resource')), [])
  })
})

const isHalfDone = "document.querySelectorAll('li.done').length === 3 && /% of/.test(document.querySelector('li:last-child p').textContent)"
const isReady = `${isIn('idle')} && document.querySelectorAll('#files input').length > 0`

function isIn (state: string): string {
  return `document.getElementById('status').dataset.state === '${state}'`
}

/** The page of jobs with a file that has no end, behind nginx. */
async function openBehindNginx (t: Test) {
  const file = new EndlessFile(t)
  const app = await new RunningApp().start(t, file.folder)
  const { tab, proxy } = await openPage(t, app, '/eventsource/')
  await tab.until(isReady)
  return { app, file, proxy, tab }
}

/** The page of the chat behind nginx, in the middle of an answer. */
async function openChat (t: Test) {
  const asked = new EventEmitter()
  const fake = await new FakeModel().start(t, response => {
    begin(response)
    asked.emit('response', response)
  })
  const startAnew = async (): Promise<RunningApp> => await new RunningApp().start(t, exampleFiles, { chat: { upstream: fake.upstream, graceMs: 60_000 } })
  const { tab, proxy } = await openPage(t, await startAnew(), '/chat')
  let response: ServerResponse
  const model = {
    next: async (): Promise<void> => { [response] = await once(asked, 'response') as [ServerResponse] },
    write: (text: string): boolean => response.write(text),
    end: (text: string): ServerResponse => response.end(text),
    requests: (): number => fake.requests.length
  }
  const begun = model.next()
  await tab.page.getByLabel('Your message').fill('How many?')
  await tab.page.getByRole('button', { name: 'Send' }).click()
  await begun
  model.write(token('One'))
  const answer = tab.page.getByTestId('answer')
  await answer.getByText('One').waitFor()
  return { tab, proxy, model, answer, startAnew }
}

/** Chromium, nginx as the deployment guide has it, and a proxy to the app that can be broken. */
async function openPage (t: Test, app: RunningApp, path: string): Promise<{ tab: Tab, proxy: CuttingProxy }> {
  const proxy = await new CuttingProxy().start(t, app.port)
  const folder = await mkdtemp(join(tmpdir(), 'nginx-'))
  const { port } = await startProxy(t, nginx, Number(new URL(proxy.url).port), { folder })
  t.teardown(async () => await rm(folder, { recursive: true, force: true }))
  return { tab: await Tab.open(t, `https://localhost:${port}${path}`, { ignoreHTTPSErrors: true }), proxy }
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
