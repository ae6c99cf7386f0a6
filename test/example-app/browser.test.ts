import t from 'tap'
import type { Test } from 'tap'
import { MemoryStreamLog } from '../../index.js'
import type { LogInfo, StreamEnd, StreamLog } from '../../index.js'
import type { AppOptions } from '../../example-app/app.js'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { CuttingProxy } from '../support/cutting-proxy.js'
import { EndlessFile } from './endless-file.js'
import { RunningApp } from './running-app.js'

t.test('the page in Chromium', { skip: chromiumMissing }, async t => {
  t.test('runs a job by keyboard, shows each file once, and finds it finished after a reload', async t => {
    const { app, tab } = await openPage(t)
    await tab.evaluate("document.querySelector('[name=fileIds]').focus()")
    await tab.press('Enter')
    await tab.until(isIn('finished'))
    const shown = await look(tab)
    t.match(shown.status, /^Finished: 9 files, .* bytes, .* lines, .* words\.$/)
    t.equal(shown.rows.length, 9)
    for (const row of shown.rows) t.match(row, { value: 100, text: /SHA-256 [0-9a-f]{64}$/ })
    t.match(shown, { run: true, cancel: false })
    await tab.shoot('finished')

    await tab.reload()
    await tab.until(isIn('finished'))
    t.strictSame(await look(tab), shown)
    t.equal(app.logs.filter(({ msg }) => msg === 'file was read').length, 9, 'nothing was read again')
    t.strictSame(tab.complaints, [])
  })

  t.test('goes on after a reload in the middle', async t => {
    const { app, tab, file } = await openEndless(t)
    await start(tab)
    t.match(await look(tab), { status: 'Running: 3 of 4 files processed…', run: false, cancel: true, focus: 'cancel' })
    await tab.shoot('running')
    await tab.reload()
    await tab.until(isHalfDone)
    t.match(await look(tab), { status: 'Running: 3 of 4 files processed…', run: false, cancel: true })
    t.match((await look(tab)).rows.map(({ text }) => text), [/1 line,/, /2 lines,/, /0 lines,/, /^\d+ % of /])
    await tab.reload()
    await tab.until(isHalfDone)
    file.end()
    await tab.until(isIn('finished'))
    t.match(await look(tab), { status: /^Finished: 4 files/, run: true, cancel: false })
    t.equal(app.logs.filter(({ msg }) => msg.startsWith('file was read')).length, 4, 'the job ran once')
    t.strictSame(tab.complaints, [])
  })

  t.test('goes on when its connection is cut, and while there is none', async t => {
    const { app, tab, file, proxy } = await openEndless(t)
    await tab.evaluate(`(() => {
      globalThis.ids = []
      globalThis.EventSource = class extends EventSource {
        constructor (url) {
          super(url)
          for (const name of ['start', 'progress', 'complete', 'failed']) this.addEventListener(name, ({ lastEventId }) => ids.push(lastEventId))
        }
      }
    })()`)
    await start(tab)
    await tab.evaluate(`(() => {
      globalThis.states = []
      new MutationObserver(() => states.push(document.getElementById('status').dataset.state)).observe(document.getElementById('status'), { attributes: true })
    })()`)
    proxy.cut()
    await tab.until(isIn('reconnecting'))
    t.match(await look(tab), { status: 'Reconnecting: the connection was lost, the job goes on…', cancel: true })
    await tab.shoot('reconnecting')
    await tab.until(isIn('running'))
    t.match(await look(tab), { status: 'Running: 3 of 4 files processed…' })
    proxy.break()
    await tab.until(isIn('reconnecting'))
    file.end()
    await app.logged('stream ended')
    proxy.mend()
    await tab.until(isIn('finished'))
    t.match(await look(tab), { status: /^Finished: 4 files/, rows: Array(4).fill({ value: 100 }) })
    const ids = await tab.evaluate('ids') as string[]
    t.strictSame(ids.map(id => id.slice(23)), ids.map((_, index) => index === ids.length - 1 ? `${index + 1}.end` : String(index + 1)), 'each frame once')
    t.match((await tab.evaluate('states.filter((state, index) => state !== states[index - 1]).join()')), 'reconnecting,running,reconnecting,')
    // The job was asked for once, and read by three requests: each from the frame on that the one before had got.
    const requests = app.logs.filter(({ req }) => req !== undefined).map(({ req }) => `${req.method} ${req.url}`)
    t.equal(requests.filter(line => line.startsWith('POST /jobs/')).length, 1)
    t.equal(requests.filter(line => line.startsWith('GET /streams/')).length, 3)
    t.strictSame(tab.complaints.filter(text => !text.startsWith('error: Failed to load resource')), [])
  })

  t.test('starts once where its answer is lost', async t => {
    const { app, tab, proxy } = await openPage(t)
    proxy.loseAnswers()
    await tab.evaluate("document.getElementById('run').click()")
    // The browser sends a request again by itself where the connection had been used before; then it is the page.
    await tab.until(isIn('reconnecting'))
    proxy.mend()
    await tab.until(isIn('finished'))
    t.ok(app.logs.filter(({ req }) => req?.url === '/jobs/process-files').length > 1, 'it was sent again')
    t.equal(app.logs.filter(({ msg }) => msg === 'file was read').length, 9)
    t.strictSame(tab.complaints.filter(text => !text.startsWith('error: Failed to load resource')), [])
  })

  t.test('cancels', async t => {
    const { app, tab } = await openEndless(t)
    await start(tab)
    await tab.evaluate("document.getElementById('cancel').focus()")
    await tab.press(' ')
    await tab.until(isIn('cancelled'))
    t.match(await look(tab), { status: 'Cancelled: the server has ended its work.', run: true, cancel: false, focus: 'run' })
    t.equal((await look(tab)).rows.at(-1)!.text, 'not finished')
    await app.logged('file was read in part')
    await tab.shoot('cancelled')
    await tab.reload()
    await tab.until(`${isIn('cancelled')} && ${isListed}`)
    await tab.evaluate("document.querySelector('[value=\"endless.bin\"]').click(); document.getElementById('run').click()")
    await tab.until(isIn('finished'))
    t.match(await look(tab), { status: /^Finished: 3 files/ }, 'another job can be run')
    t.strictSame(tab.complaints, [])
  })

  t.test('says so when a job fails, in the dark as well', async t => {
    const { tab, file, app } = await openEndless(t, { dark: true })
    file.remove()
    await tab.evaluate("document.getElementById('run').click()")
    await tab.until(isIn('failed'))
    t.match((await look(tab)).status, 'Failed: There is no file "endless.bin": GET /files lists the ids')
    await tab.reload()
    await tab.until(`${isIn('idle')} && ${isListed}`)
    t.equal(app.instance.mediator.stats().streams, 0)
    await tab.evaluate("document.getElementById('run').click()")
    await tab.until(isIn('finished'))
    await tab.shoot('finished-dark')
  })

  t.test('waits for a server that cannot be reached, and cancels what was not started yet', async t => {
    const { app, tab, proxy } = await openEndless(t)
    const ended = new Promise<StreamEnd>(resolve => app.instance.mediator.onStreamEnd(resolve))
    proxy.break()
    await tab.evaluate("document.getElementById('run').click()")
    await tab.until(isIn('reconnecting'))
    t.match(await look(tab), { status: 'Reconnecting: the server cannot be reached…', cancel: true })
    await tab.evaluate("document.getElementById('cancel').click()")
    proxy.mend()
    await tab.until(isIn('cancelled'))
    t.equal((await ended).reason, 'cancelled')
    t.strictSame(tab.complaints.filter(text => !text.startsWith('error: Failed to load resource')), [])
  })

  t.test('says so when the server ends the job', async t => {
    const { tab, app } = await openEndless(t)
    await start(tab)
    await app.instance.close()
    await tab.until(isIn('failed'))
    t.match(await look(tab), { status: /^Failed: Service Unavailable \(stream [\w-]{22}\)$/, run: true, cancel: false })
    await tab.shoot('failed')
  })

  t.test('says so when the server does not keep the job any more', async t => {
    const { tab, app, file } = await openEndless(t, { streamLog: new MemoryStreamLog({ retainMs: 0 }) })
    await start(tab)
    file.end()
    await tab.until(isIn('finished'))
    await app.logged('stream ended')
    await tab.reload()
    await tab.until(isIn('gone'))
    t.match(await look(tab), { status: /^Gone: /, run: true, cancel: false, rows: Array(4).fill({ text: 'not known' }) })
    await tab.shoot('gone')
    await tab.reload()
    await tab.until(isIn('idle'))
  })

  t.test('goes on with what is kept where its first frames are not', async t => {
    // A busy machine has two seconds from one request of the page to the next.
    const streamLog = new MemoryStreamLog({ maxEntries: 20 })
    const { tab, file } = await openEndless(t, { streamLog })
    await start(tab)
    await untilTrimmed(streamLog)
    await tab.reload()
    await tab.until(isIn('running'))
    t.match((await look(tab)).status, 'Running: 0 of 4 files processed, and some before that the server does not list any more…')
    await tab.until("/% of/.test(document.querySelector('li:last-child p').textContent)")
    t.match((await look(tab)).rows.map(({ text }) => text), ['not known', 'not known', 'not known', /% of/])
    await tab.shoot('gap')
    file.end()
    await tab.until(isIn('finished'))
    t.match(await look(tab), { status: /^Finished: 4 files/, rows: Array(4).fill({ value: 100 }) })
  })
})

const isListed = "document.querySelectorAll('#files input').length > 0"
const isHalfDone = "document.querySelectorAll('li.done').length === 3 && /% of/.test(document.querySelector('li:last-child p').textContent)"

function isIn (state: string): string {
  return `document.getElementById('status').dataset.state === '${state}'`
}

/** The page, behind a proxy, with its list of files. */
async function openPage (t: Test, filesDir?: string, { dark = false, ...options }: AppOptions & { dark?: boolean } = {}) {
  const app = await new RunningApp().start(t, filesDir, options)
  const proxy = await new CuttingProxy().start(t, app.port)
  const tab = await Tab.open(t, `${proxy.url}/eventsource/`, { dark })
  await tab.until(`${isIn('idle')} && ${isListed}`)
  return { app, proxy, tab }
}

async function openEndless (t: Test, options: AppOptions & { dark?: boolean } = {}) {
  const file = new EndlessFile(t)
  return { file, ...await openPage(t, file.folder, options) }
}

/** Starts the job, which comes to the endless file as its last. */
async function start (tab: Tab): Promise<void> {
  await tab.evaluate("document.getElementById('run').focus()")
  await tab.press('Enter')
  await tab.until(isHalfDone)
}

/** Resolves when the only stream has lost its first frame. */
async function untilTrimmed (log: StreamLog): Promise<void> {
  const find = async (): Promise<LogInfo> => (await log.list('', { limit: 1 })).streams[0]!
  const { streamId, last } = await find()
  const reader = await log.read(streamId, { after: last })
  while ((await find()).firstSeq === 1) {
    if (reader.take().length === 0) await new Promise<void>(resolve => reader.onReady(resolve))
  }
  reader.close()
}

interface Shown {
  readonly status: string
  readonly run: boolean
  readonly cancel: boolean
  readonly focus: string
  readonly rows: ReadonlyArray<{ name: string, value: number, text: string }>
}

async function look (tab: Tab): Promise<Shown> {
  return await tab.evaluate(`({
    status: document.getElementById('status').textContent,
    run: !document.getElementById('run').disabled,
    cancel: !document.getElementById('cancel').disabled,
    focus: document.activeElement.id,
    rows: Array.from(document.querySelectorAll('#progress li'), row => ({
      name: row.querySelector('label').textContent, value: row.querySelector('progress').value, text: row.querySelector('p').textContent
    }))
  })`)
}
