import t from 'tap'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { hold } from './held-command.js'
import { RunningApp } from './running-app.js'

t.test('the page of orders in Chromium', { skip: chromiumMissing }, async t => {
  t.test('shows each order, and what followed from it', async t => {
    const app = await new RunningApp().start(t)
    const tab = await Tab.open(t, `${app.url}/orders`)
    const { page, complaints } = tab
    await page.getByRole('radio', { name: '10', exact: true }).check()
    await page.getByRole('button', { name: 'Process' }).click()
    await page.getByRole('status').getByText('Running…').waitFor()
    await page.getByRole('status').getByText(/^Done: 10 orders, €\d/).waitFor()
    await page.getByRole('img', { name: /^40 effects of 10 orders within \d+ ms$/ }).waitFor()
    t.equal(await page.getByRole('progressbar').evaluate(bar => (bar as unknown as { value: number }).value), 10)
    await tab.shoot('orders')
    t.equal(await page.getByRole('button', { name: 'Process' }).isDisabled(), true, 'an order is paid for once')
    await page.getByRole('button', { name: 'New orders' }).click()
    t.equal(await page.getByRole('button', { name: 'Process' }).isEnabled(), true)
    t.strictSame(complaints, [])
  })

  t.test('cancels in the middle', async t => {
    const app = await new RunningApp().start(t)
    hold(app, 'process-orders', 3)
    const tab = await Tab.open(t, `${app.url}/orders`)
    const { page, complaints } = tab
    await page.getByRole('radio', { name: '30', exact: true }).check()
    await page.getByRole('button', { name: 'Process' }).press('Enter')
    await page.getByRole('img', { name: /effect/ }).waitFor()
    t.equal(await tab.focused(), 'Cancel')
    await tab.press('Enter')
    await page.getByRole('status').getByText('Cancelled.').waitFor()
    t.equal(await tab.focused(), 'New orders')
    const { reason } = await app.logged('stream ended')
    t.equal(reason, 'client-closed')
    t.ok(app.instance.journal.entries.length < 120)
    t.strictSame(complaints, [])
  })

  t.test('does not process orders again of which it has seen nothing', async t => {
    const app = await new RunningApp().start(t)
    hold(app, 'process-orders', 0)
    const { page } = await Tab.open(t, `${app.url}/orders`)
    await page.getByRole('button', { name: 'Process' }).click()
    await page.getByRole('status').getByText('Running…').waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('status').getByText('Cancelled.').waitFor()
    t.equal(await page.getByRole('button', { name: 'Process' }).isDisabled(), true)
    await page.getByRole('button', { name: 'New orders' }).click()
    t.equal(await page.getByRole('button', { name: 'Process' }).isEnabled(), true)
  })
})
