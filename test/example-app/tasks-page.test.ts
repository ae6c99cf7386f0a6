import t from 'tap'
import type { Test } from 'tap'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { RunningApp, exampleFiles } from './running-app.js'

async function openPage (t: Test, options: Parameters<typeof Tab.open>[2] = {}, stepMs = 20) {
  const app = await new RunningApp().start(t, exampleFiles, { tasks: { stepMs, sampleMs: 100 } })
  const tab = await Tab.open(t, `${app.url}/tasks`, options)
  await tab.page.getByRole('heading', { level: 1, name: 'Tasks' }).waitFor()
  const section = (name: string) => tab.page.getByRole('region', { name, exact: true })
  return { app, tab, page: tab.page, section }
}

t.test('the tasks page in Chromium', { skip: chromiumMissing }, async t => {
  t.test('makes a task by keyboard, watches it by EventSource and runs it', async t => {
    const { tab, page, section } = await openPage(t)
    await page.getByLabel('Name').fill('Bake bread')
    await page.getByLabel('Steps', { exact: true }).fill('5')
    await page.keyboard.press('Enter')
    await page.getByLabel('Task', { exact: true }).waitFor()
    t.match(await page.getByLabel('Task', { exact: true }).textContent(), 'Bake bread, 5 steps, waiting')

    await section('Its progress').getByRole('button', { name: 'Watch' }).click()
    await section('Its progress').getByText('0 of 5 steps, waiting').waitFor()
    await page.getByRole('button', { name: 'Execute' }).press('Enter')
    await page.getByText('Done: 5 steps of “Bake bread”.').waitFor()
    t.equal(await tab.focused(), 'Execute')
    await section('Its progress').getByText('5 of 5 steps, done').waitFor()
    await section('Its progress').getByText('Done.').waitFor()
    await tab.shoot('tasks')
    t.strictSame(tab.complaints, [])
  })

  t.test('shows named events, a failure, and stops what is stopped', async t => {
    const { app, tab, page, section } = await openPage(t, { dark: true })
    await section('The process').getByRole('button', { name: 'Watch' }).click()
    await section('The process').getByText(/% of one core/).waitFor()
    // One that does not end before the test does.
    await page.route('**/stream/countdown/10', async route => await route.continue({ url: `${app.url}/stream/countdown/60` }))
    await section('A countdown').getByRole('button', { name: 'Watch' }).click()
    await section('A countdown').getByText('Seconds left').waitFor()
    await section('A stream that fails').getByRole('button', { name: 'Watch' }).click()
    await section('A stream that fails').getByText('Failed: Step 4 has failed, as it does each time').waitFor()
    await tab.shoot('tasks-dark')
    t.equal(await section('The process').getByRole('group', { name: 'The same in a terminal' }).count(), 1)
    await section('The process').getByRole('button', { name: 'Stop' }).press(' ')
    await section('The process').getByText('Cancelled.').waitFor()
    t.equal(await section('The process').locator(':focus').textContent(), 'Watch')
    // That which failed is the first to end.
    t.match(await app.logged('stream ended', 2), { command: 'watch-system', reason: 'client-closed' })
    t.equal(app.instance.system.watching, 0)
    await page.goto('about:blank')
    t.match(await app.logged('stream ended', 3), { command: 'countdown', reason: 'client-closed' })
    t.strictSame(tab.complaints, [])
  })

  t.test('cancels a task, which stops at the server, and holds three streams at most', async t => {
    const { tab, page, section } = await openPage(t, {}, 600_000)
    await page.getByRole('button', { name: 'Make a task' }).click()
    await section('Its progress').getByRole('button', { name: 'Watch' }).click()
    await section('Several tasks on one connection').getByRole('button', { name: 'Watch' }).click()
    await section('Several tasks on one connection').getByText('0 of 10 steps, waiting').waitFor()
    await page.getByRole('button', { name: 'Execute' }).press('Enter')
    await section('Its progress').getByText('0 of 10 steps, running').waitFor()
    t.equal(await tab.focused(), 'Cancel')
    await page.getByText('holds 3 streams open').waitFor()
    t.equal(await section('The process').getByRole('button', { name: 'Watch' }).isDisabled(), true)
    await tab.press('Enter')
    await section('Its progress').getByText('0 of 10 steps, stopped').waitFor()
    await section('Several tasks on one connection').getByText('0 of 10 steps, stopped').waitFor()
    t.equal(await section('The process').getByRole('button', { name: 'Watch' }).isDisabled(), false)
    t.strictSame(tab.complaints, [])
  })

  t.test('shows all tasks that it watches on one connection, however much is told of one of them', async t => {
    const { tab, page, section } = await openPage(t, { permissions: ['clipboard-read', 'clipboard-write'] }, 2)
    const make = async (name: string, steps: number): Promise<void> => {
      await page.getByLabel('Name').fill(name)
      await page.getByLabel('Steps', { exact: true }).fill(String(steps))
      await page.getByRole('button', { name: 'Make a task' }).click()
      await page.getByRole('option', { name: `${name}, ` }).waitFor({ state: 'attached' })
    }
    await make('Short', 1)
    await make('Long', 100)
    const several = section('Several tasks on one connection')
    await several.getByRole('button', { name: 'Watch' }).click()
    await several.getByText('0 of 1 step, waiting').waitFor()
    await page.getByRole('button', { name: 'Execute' }).click()
    await several.getByText('100 of 100 steps, done').waitFor()
    t.equal(await several.getByText('0 of 1 step, waiting').count(), 1)

    const copy = several.getByRole('button', { name: 'Copy' })
    await copy.click()
    await several.getByRole('button', { name: 'Copied' }).waitFor()
    const copied = await tab.evaluate('navigator.clipboard.readText()') as string
    t.match(copied, /^curl -N 'http:.*\/stream\/tasks\?ids=/)
    await make('Another', 1)
    t.not(await several.locator('.curl code').textContent(), copied)
    await copy.waitFor()
    t.strictSame(tab.complaints, [])
  })

  t.test('fits a phone', async t => {
    const { tab, page } = await openPage(t, { viewport: { width: 360, height: 740 } })
    await page.getByRole('button', { name: 'Make a task' }).click()
    await page.getByLabel('Task', { exact: true }).waitFor()
    t.equal(await tab.evaluate('document.documentElement.scrollWidth'), 360)
    await tab.shoot('tasks-phone')
    t.strictSame(tab.complaints, [])
  })
})
