import t from 'tap'
import type { Test } from 'tap'
import { HookPage, tabStorage } from './hook-page.js'
import { createSubject } from './subject.js'
import type { Subject } from './subject.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

const input = { to: 1_000, label: 'n' }
const resume = 'import'
const byServer = { status: 'cancelled', error: { kind: 'cancelled', code: 'MEDIATOR_ERR_CANCELLED' } }

interface Unanswered extends Subject {
  readonly page: HookPage<any>
  readonly result: Promise<unknown>
  abort (reason: unknown): void
}

/** A page whose command runs, and whose answers are lost: it tries again, and knows no url. */
async function createUnanswered (t: Test, options: { resume?: string } = { resume }): Promise<Unanswered> {
  const subject = await createSubject(t)
  subject.proxy.loseAnswers()
  const page = await HookPage.open(t, subject.client, 'count', options)
  const controller = new AbortController()
  const result = page.shown.start(input, { idempotencyKey: 'a-key-of-22-characters', signal: controller.signal })
  await subject.untilStarted(1)
  await page.untilStatus('reconnecting')
  t.equal(page.shown.streamId, undefined)
  return { ...subject, page, result, abort: reason => controller.abort(reason) }
}

t.test('a run that is cancelled before its first frame is cancelled by the server, and not said to be before', async t => {
  const { page, proxy, ends, started } = await createUnanswered(t)
  const cancelled = page.shown.cancel()
  const again = page.shown.cancel()
  t.equal(page.shown.status, 'reconnecting')
  t.match(remembered(), { input, cancelRequested: true })
  proxy.mend()
  await cancelled
  await again
  t.match(await page.untilStatus('cancelled'), byServer)
  t.match(await ends.until(1), [{ reason: 'cancelled' }])
  t.strictSame(started, [1_000])
  t.match(remembered(), { streamUrl: /\/streams\//, ended: true })
})

t.test('one that waits for its first answer is cancelled as well', async t => {
  const { client, untilStarted, ends } = await createSubject(t, { commitAfterMs: 300 })
  const page = await HookPage.open(t, client, 'count', { resume })
  void page.shown.start(input)
  await untilStarted(1)
  await page.shown.cancel()
  t.match(await page.untilStatus('cancelled'), byServer)
  t.match(await ends.until(1), [{ reason: 'cancelled' }])
})

t.test('a run with a key of the page, without a memory, is cancelled as well', async t => {
  const { page, proxy, ends } = await createUnanswered(t, {})
  const cancelled = page.shown.cancel()
  proxy.mend()
  await cancelled
  t.match(await page.untilStatus('cancelled'), byServer)
  t.match(await ends.until(1), [{ reason: 'cancelled' }])
})

t.test('a signal rejects at once, and cancels on the server when that can be told', async t => {
  const { page, result, proxy, ends, abort } = await createUnanswered(t)
  const reason = new Error('Enough')
  abort(reason)
  t.equal(await result.catch(error => error), reason)
  t.equal(page.shown.status, 'reconnecting')
  t.match(remembered(), { cancelRequested: true })
  proxy.mend()
  t.equal((await page.untilStatus('cancelled')).error, reason)
  t.match(await ends.until(1), [{ reason: 'cancelled' }])
})

t.test('a page that leaves while it waits to cancel cancels all the same', async t => {
  for (const leave of ['close', 'reset', 'start'] as const) {
    const { page, proxy, ends, gate } = await createUnanswered(t)
    const cancelled = page.shown.cancel()
    if (leave === 'close') await page.close()
    else if (leave === 'reset') page.shown.reset()
    else void page.shown.start({ to: 1, label: 'n' })
    proxy.mend()
    await cancelled
    t.match((await ends.until(1)).find(({ reason }) => reason !== 'completed'), { reason: 'cancelled' }, leave)
    gate.resolve()
  }
})

t.test('the next page cancels what the page before could not', async t => {
  const { client, proxy, ends, started } = await createSubject(t)
  for (const [index, run] of [
    { input, options: { idempotencyKey: 'a-key-of-22-characters' } },
    { streamUrl: '', ended: false }
  ].entries()) {
    if ('streamUrl' in run) {
      const response = await fetch(`${proxy.url}/commands/count`, { method: 'POST', headers: { 'content-type': 'application/json', prefer: 'respond-async' }, body: JSON.stringify(input) })
      run.streamUrl = proxy.url + (await response.json() as { url: string }).url
    }
    tabStorage().setItem('useStream count import', JSON.stringify({ ...run, cancelRequested: true }))
    const page = await HookPage.open(t, client, 'count', { resume })
    t.match(await page.untilStatus('cancelled'), byServer)
    t.match((await ends.until(index + 1)).at(-1), { reason: 'cancelled' })
    t.notOk('cancelRequested' in remembered(), 'and the page after that one need not')
    await page.close()
  }
  t.strictSame(started, [1_000, 1_000])
})

t.test('a run that is refused while it waits to be cancelled has failed', async t => {
  const { client, proxy } = await createSubject(t)
  proxy.break()
  const page = await HookPage.open(t, client, 'count', { resume })
  void page.shown.start({ to: -1, label: 'n' })
  await page.untilStatus('reconnecting')
  const cancelled = page.shown.cancel()
  proxy.mend()
  await cancelled
  t.match(await page.untilStatus('failed'), { error: { code: 'FST_ERR_VALIDATION' } })
  t.equal(tabStorage().length, 0)
  await page.shown.cancel()
  t.equal(tabStorage().length, 0, 'of what has ended nothing is remembered')
})

// Last, because it is about all of those above.
t.test('no rejection was unhandled', async t => {
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(unhandled, [])
})

function remembered (): any {
  return JSON.parse(tabStorage().getItem('useStream count import')!)
}
