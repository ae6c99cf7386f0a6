import t from 'tap'
import { HookPage, replaceStorage, tabStorage } from './hook-page.js'
import type { Shown } from './hook-page.js'
import { createSubject } from './subject.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

const input = { to: 3, label: 'n' }

t.test('an effect that starts what is idle starts no second run beside one that is resumed', async t => {
  const { client, gate, started } = await createSubject(t)
  const effect = ({ status, start }: Shown): void => { if (status === 'idle') void start(input) }
  for (const strict of [false, true]) {
    const page = await HookPage.open(t, client, 'count', { resume: 'import', strict, effect })
    t.equal(page.renderings[0]!.status, started.length === 0 ? 'idle' : 'connecting')
    await page.until(({ count }) => count === 1)
    t.equal(started.length, 1)
    await page.close()
  }
  gate.resolve()
  const last = await HookPage.open(t, client, 'count', { resume: 'import', effect })
  t.match(await last.untilStatus('complete'), { count: 3 })
  t.strictSame(started, [3])
})

t.test('a run that is gone when the page is mounted is idle', async t => {
  const { client, started } = await createSubject(t)
  const run = JSON.stringify({ streamUrl: '/streams/AAAAAAAAAAAAAAAAAAAAAA', ended: false })
  let reads = 0
  replaceStorage(t, { value: { getItem: () => reads++ === 0 ? run : null, setItem () {}, removeItem () {} } })
  const page = await HookPage.open(t, client, 'count', { resume: 'import' })
  t.strictSame([page.renderings[0]!.status, page.shown.status], ['connecting', 'idle'])
  t.strictSame(started, [])
})

t.test('start in an effect of StrictMode, which mounts twice, begins the stream', async t => {
  const { client, gate } = await createSubject(t)
  gate.resolve()
  const page = await HookPage.open(t, client, 'count', { strict: true, effect: ({ start }) => { void start(input) } })
  t.match(await page.untilStatus('complete'), { count: 3 })
})

t.test('start of a component that has gone away begins nothing', async t => {
  const { client, gate, started } = await createSubject(t)
  gate.resolve()
  for (const strict of [false, true]) {
    const page = await HookPage.open(t, client, 'count', { resume: 'import', strict })
    const { start } = page.shown
    await page.close()
    void start(input)
    await t.rejects(start(input), { kind: 'truncated', code: 'CLIENT_ERR_LEFT' })
    t.equal(tabStorage().length, 0, 'and remembers nothing')
  }
  const page = await HookPage.open(t, client, 'count')
  const { start } = page.shown
  await page.show(client, 'add')
  await t.rejects(start(input), { code: 'CLIENT_ERR_LEFT' }, 'nor does that of another name than the one that is shown')
  t.equal(await page.shown.start({ a: 1, b: 2 }), 3)
  t.strictSame(started, [])
})

// Last, because it is about all of those above.
t.test('no rejection was unhandled', async t => {
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(unhandled, [])
})
