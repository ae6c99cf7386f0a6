import t from 'tap'
import { createClient } from '../../lib/client/index.js'
import { HookPage, acting, replaceStorage, tabStorage } from './hook-page.js'
import { createSubject, numbers } from './subject.js'
import type { Contracts } from './subject.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

t.test('the next page goes on with a run, and runs nothing twice', async t => {
  const { client, gate, started } = await createSubject(t)
  const before = await HookPage.open(t, client, 'count', { resume: 'import' })
  void before.shown.start({ to: 3, label: 'n' })
  const { streamId } = await before.until(({ count }) => count === 1)
  await before.close()
  const after = await HookPage.open(t, client, 'count', { resume: 'import' })
  t.strictSame(numbers(await after.until(({ count }) => count === 1)), [1], 'what was told before is told again')
  gate.resolve()
  t.match(await after.untilStatus('complete'), { count: 3, result: { total: 3 }, streamId })
  t.strictSame(started, [3])
  await after.close()
  const last = await HookPage.open(t, client, 'count', { resume: 'import' })
  t.match(await last.untilStatus('complete'), { count: 3, result: { total: 3 }, streamId }, 'and a page after its end shows the same')
  t.strictSame(started, [3])
})

t.test('of a stream that is known its url is remembered, and neither its input nor its key', async t => {
  const { client } = await createSubject(t)
  const page = await HookPage.open(t, client, 'count', { resume: 'secret' })
  void page.shown.start({ to: 3, label: 'a secret' })
  t.match(remembered(), [{ input: { to: 3, label: 'a secret' }, options: { idempotencyKey: /^[0-9a-f]{32}$/ } }])
  const { streamId } = await page.until(({ count }) => count === 1)
  t.match(remembered(), [{ streamUrl: new RegExp(`/streams/${streamId}$`), ended: false }])
  t.notMatch(JSON.stringify(remembered()), /secret/)
})

t.test('a page that went away before the first frame has started its command once', async t => {
  const { client, gate, started, untilStarted } = await createSubject(t)
  const before = await HookPage.open(t, client, 'count', { resume: 'import' })
  void before.shown.start({ to: 1_000, label: 'n' })
  await untilStarted(1)
  await before.close()
  const after = await HookPage.open(t, client, 'count', { resume: 'import' })
  gate.resolve()
  t.match(await after.untilStatus('complete'), { count: 1_000, result: { total: 1_000 } })
  t.strictSame(started, [1_000])
})

t.test('a page that went away before its request arrived starts the command by the next, with the same key, method and url', async t => {
  const { client, gate, started, proxy } = await createSubject(t)
  gate.resolve()
  proxy.break()
  const before = await HookPage.open(t, client, 'count', { resume: 'import' })
  void before.shown.start({ to: 3, label: 'n' }, { url: '/commands/count', idempotencyKey: 'a-key-of-22-characters' })
  await before.untilStatus('reconnecting')
  await before.close()
  t.strictSame(started, [])
  t.strictSame(remembered(), [{ input: { to: 3, label: 'n' }, options: { idempotencyKey: 'a-key-of-22-characters', url: '/commands/count' } }])
  proxy.mend()
  const after = await HookPage.open(t, client, 'count', { resume: 'import' })
  t.match(await after.untilStatus('complete'), { count: 3 })
  t.strictSame(started, [3])
})

t.test('StrictMode goes on with it as well', async t => {
  const { client, gate, started } = await createSubject(t)
  const before = await HookPage.open(t, client, 'count', { resume: 'import', strict: true })
  void before.shown.start({ to: 3, label: 'n' })
  await before.until(({ count }) => count === 1)
  await before.close()
  const after = await HookPage.open(t, client, 'count', { resume: 'import', strict: true })
  await after.until(({ count }) => count === 1)
  gate.resolve()
  t.match(await after.untilStatus('complete'), { count: 3, error: undefined })
  t.strictSame(started, [3])
})

t.test('a run that had failed fails again for the next page, and one that was refused is forgotten', async t => {
  const { client, gate, started } = await createSubject(t)
  gate.resolve()
  const before = await HookPage.open(t, client, 'count', { resume: 'import' })
  await t.rejects(before.shown.start({ to: 409, label: 'n' }), { code: 'TOO_FAR' })
  await before.untilStatus('failed')
  await before.close()
  const after = await HookPage.open(t, client, 'count', { resume: 'import' })
  t.match(await after.untilStatus('failed'), { count: 409, error: { code: 'TOO_FAR' } })
  t.strictSame(started, [409])
  await t.rejects(after.shown.start({ to: -1, label: 'n' }), { code: 'FST_ERR_VALIDATION' })
  await after.until(({ count }) => count === 0)
  t.strictSame(remembered(), [])
})

t.test('a run that had ended and that the server has forgotten is idle', async t => {
  const [first, second] = [await createSubject(t), await createSubject(t)]
  first.gate.resolve()
  const before = await HookPage.open(t, first.client, 'count', { resume: 'import' })
  await before.shown.start({ to: 3, label: 'n' })
  await before.untilStatus('complete')
  await before.close()
  moveTo(second.proxy.url)
  const after = await HookPage.open(t, second.client, 'count', { resume: 'import' })
  t.equal(after.shown.status, 'connecting')
  t.match(await after.untilStatus('idle'), { error: undefined })
  t.strictSame(remembered(), [])
})

t.test('a run whose end was not seen tells that the server has forgotten it, once', async t => {
  const [first, second] = [await createSubject(t), await createSubject(t)]
  const before = await HookPage.open(t, first.client, 'count', { resume: 'import' })
  void before.shown.start({ to: 3, label: 'n' })
  await before.until(({ count }) => count === 1)
  await before.close()
  moveTo(second.proxy.url)
  const after = await HookPage.open(t, second.client, 'count', { resume: 'import' })
  t.match(await after.untilStatus('truncated'), { error: { code: 'MEDIATOR_ERR_STREAM_NOT_FOUND', problem: { status: 404 } } })
  t.strictSame(remembered(), [])
  await after.close()
  const last = await HookPage.open(t, second.client, 'count', { resume: 'import' })
  t.equal(last.shown.status, 'idle')
})

t.test('a run whose end was not seen because the server could not be reached is asked for again', async t => {
  const { client, proxy, gate, started } = await createSubject(t)
  const before = await HookPage.open(t, client, 'count', { resume: 'import' })
  void before.shown.start({ to: 3, label: 'n' })
  await before.until(({ count }) => count === 1)
  proxy.break()
  t.match(await before.untilStatus('truncated'), { error: { code: 'CLIENT_ERR_CONNECTION' } }, 'it gave up')
  await before.close()
  proxy.mend()
  gate.resolve()
  const after = await HookPage.open(t, client, 'count', { resume: 'import' })
  t.match(await after.untilStatus('complete'), { count: 3 })
  t.strictSame(started, [3])
})

t.test('a run that was cancelled is cancelled for the next page; one that was reset is idle', async t => {
  const { client } = await createSubject(t)
  const before = await HookPage.open(t, client, 'count', { resume: 'import' })
  void before.shown.start({ to: 3, label: 'n' })
  await before.until(({ count }) => count === 1)
  await before.shown.cancel()
  await before.untilStatus('cancelled')
  await before.close()
  const after = await HookPage.open(t, client, 'count', { resume: 'import' })
  await after.untilStatus('cancelled')
  await acting(() => after.shown.reset())
  await after.close()
  const last = await HookPage.open(t, client, 'count', { resume: 'import' })
  t.equal(last.shown.status, 'idle')
})

t.test('each name, and each command, has a memory of its own; without a name nothing is remembered', async t => {
  const { client } = await createSubject(t)
  const before = await HookPage.open(t, client, 'count', { resume: 'one' })
  void before.shown.start({ to: 3, label: 'n' })
  const without = await HookPage.open(t, client, 'count')
  void without.shown.start({ to: 3, label: 'n' })
  for (const page of [before, without]) await page.until(({ count }) => count === 1)
  t.equal(remembered().length, 1)
  for (const page of [before, without]) await page.close()
  for (const [name, options] of [['count', { resume: 'two' }], ['add', { resume: 'one' }], ['count', {}]] as const) {
    t.equal((await HookPage.open(t, client, name, options)).shown.status, 'idle')
  }
})

t.test('where storage is full, refused or missing, a reload begins anew, and not with the run before', async t => {
  const { client, gate } = await createSubject(t)
  gate.resolve()
  const before = await HookPage.open(t, client, 'count', { resume: 'import' })
  await before.shown.start({ to: 3, label: 'n' })
  await before.untilStatus('complete')
  t.equal(remembered().length, 1)
  await before.close()
  const full = await HookPage.open(t, client, 'count', { resume: 'import' })
  await full.untilStatus('complete')
  const real = tabStorage()
  replaceStorage(t, {
    value: {
      getItem: (name: string) => real.getItem(name),
      setItem: () => { throw new Error('QuotaExceededError') },
      removeItem: (name: string) => real.removeItem(name)
    }
  })
  t.strictSame(await full.shown.start({ to: 2, label: 'n' }), { total: 2 })
  t.match(await full.until(({ count, status }) => count === 2 && status === 'complete'), { error: undefined })
  t.strictSame(remembered(), [])
  for (const descriptor of [{ get: () => { throw new Error('SecurityError') } }, { value: undefined }]) {
    replaceStorage(t, descriptor)
    const page = await HookPage.open(t, client, 'count', { resume: 'import' })
    t.equal(page.shown.status, 'idle')
    await page.shown.start({ to: 2, label: 'n' })
    await page.untilStatus('complete')
    await acting(() => page.shown.reset())
    t.equal(page.shown.status, 'idle')
  }
})

t.test('what was not written by it is not read', async t => {
  const { client, started, proxy } = await createSubject(t)
  const texts = ['', '{', 'null', '5', '"text"', '{}', '[]', '{"input":{"to":3,"label":"n"}}', '{"input":{"to":3,"label":"n"},"options":{}}', '{"streamUrl":5}']
  for (const text of texts) {
    tabStorage().setItem('useStream count import', text)
    const page = await HookPage.open(t, client, 'count', { resume: 'import' })
    t.equal(page.shown.status, 'idle', text)
    await page.close()
  }
  tabStorage().setItem('useStream count import', '{"streamUrl":"https://example.com/streams/x","ended":false}')
  const page = await HookPage.open(t, createClient<Contracts>({ baseUrl: proxy.url }), 'count', { resume: 'import' })
  t.match(await page.untilStatus('failed'), { error: { name: 'TypeError', message: /^Unexpected/ } }, 'and nothing is sent to another origin')
  t.strictSame(started, [])
})

// Last, because it is about all of those above.
t.test('no rejection was unhandled', async t => {
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(unhandled, [])
})

/** What is in the storage, whatever its names. */
function remembered (): unknown[] {
  const storage = tabStorage()
  return Array.from({ length: storage.length }, (_, index) => JSON.parse(storage.getItem(storage.key(index)!)!))
}

/** Lets what is remembered be at another server, as if the one that it was at had been restarted. */
function moveTo (origin: string): void {
  const storage = tabStorage()
  const name = storage.key(0)!
  const { streamUrl, ...rest } = JSON.parse(storage.getItem(name)!)
  storage.setItem(name, JSON.stringify({ ...rest, streamUrl: origin + new URL(streamUrl).pathname }))
}
