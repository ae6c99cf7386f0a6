import { readFile } from 'node:fs/promises'
import t from 'tap'
import type { Test } from 'tap'
import { sampleFlaws } from '../../example-app/importing/sample.js'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { hold } from './held-command.js'
import { RunningApp } from './running-app.js'

t.test('the pages of imports and exports', { skip: chromiumMissing }, async t => {
  // One for all, because its database takes seconds to load.
  const app = await new RunningApp().start(t)
  const number = new Intl.NumberFormat('en')

  async function fitsThePhone (t: Test, tab: Tab): Promise<void> {
    await tab.page.setViewportSize({ width: 360, height: 900 })
    t.equal(await tab.evaluate('document.documentElement.scrollWidth'), 360)
  }

  t.test('imports a sample, and tells its bad rows and a summary', async t => {
    const tab = await Tab.open(t, `${app.url}/import`)
    const { page } = tab
    await page.getByLabel('A sample of 10,000 rows').check()
    await page.getByRole('button', { name: 'Import', exact: true }).click()
    const { rejected, duplicates } = sampleFlaws(10_000)
    const rows = 10_000 - rejected - duplicates
    await page.getByText(`Done: ${number.format(rows)} rows imported, ${duplicates} duplicates, ${rejected} rejected.`).waitFor()
    t.equal(await page.locator('section[aria-labelledby=rejected] tbody tr').count(), rejected)
    t.same(await page.locator('section[aria-labelledby=rejected] tbody tr').first().locator('td').allTextContents(),
      ['19', 'email', 'must be an e-mail address that begins with a letter or a digit', 'nobody at example.com'])
    await page.getByText(`${number.format(rows)} rows in the database.`).waitFor()
    await tab.shoot('import')
    await fitsThePhone(t, tab)
    await tab.shoot('import-phone')
    t.same(tab.complaints, [])
  })

  t.test('goes on with an import after a reload, and says how many rows are in when it is cancelled', async t => {
    const tab = await Tab.open(t, `${app.url}/import`, { dark: true })
    const { page } = tab
    await page.getByRole('button', { name: 'Empty the table' }).click()
    await page.getByText('0 rows in the database.').waitFor()
    await page.getByLabel('A sample of 10,000 rows').check()
    // After three batches, which tell of 50 rejected rows each.
    t.teardown(hold(app, 'import-people', 3 * 51))
    let starts = 0
    page.on('request', request => { if (request.url().endsWith('/jobs/import-people')) starts++ })
    await page.getByRole('button', { name: 'Import', exact: true }).press('Enter')
    await page.getByText('Running…').waitFor()
    await page.getByText('2,820 rows in, ').waitFor()
    t.equal(await tab.focused(), 'Cancel')
    const attached = page.waitForRequest(request => request.url().includes('/streams/'))
    await tab.reload()
    const streamId = new URL((await attached).url()).pathname.split('/').at(-1)!
    await page.getByText('2,820 rows in, ').waitFor()
    t.equal(await tab.focused(), 'body', 'a page that was loaded takes the focus from nobody')
    await tab.shoot('import-dark')
    await page.getByRole('button', { name: 'Cancel', exact: true }).press('Enter')
    await page.getByText('Cancelled: 2,820 rows of the file are in').waitFor()
    t.equal(await tab.focused(), 'Import')
    t.same(await (await fetch(`${app.url}/import/runs/${streamId}`)).json(), { rows: 2_820 })
    t.equal(starts, 1)
    await page.getByText('2,820 rows in the database.').waitFor()
    t.same(tab.complaints, [])
  })

  t.test('takes a file of the user, and says what is wrong with its header', async t => {
    const tab = await Tab.open(t, `${app.url}/import`)
    const { page } = tab
    await page.getByLabel('A file of yours').check()
    await page.getByLabel('File:').setInputFiles({ name: 'people.csv', mimeType: 'text/csv', buffer: Buffer.from('email,name\na@example.com,Ada\n') })
    await page.getByRole('button', { name: 'Import', exact: true }).click()
    await page.getByText('Failed: The CSV lacks country, born: its first line must name the columns email, name, country, born').waitFor()
    // It is refused with a status, of which the browser tells, or in the first frame.
    t.same(tab.complaints.filter(words => !words.includes('status of 400')), [])
  })

  t.test('makes rows, writes them into a file and offers it, also after a reload', async t => {
    const tab = await Tab.open(t, `${app.url}/export`)
    const { page } = tab
    await page.getByLabel('10,000 rows', { exact: true }).check()
    await page.getByRole('button', { name: 'Make them' }).press('Enter')
    await page.getByText('Done: 10,000 rows made.').waitFor()
    t.equal(await tab.focused(), 'Make them')
    // By a choice of its form, which cannot be made while it runs.
    await page.getByLabel('CSV').press('Enter')
    const link = page.getByRole('link', { name: 'Take the file' })
    await link.waitFor()
    t.equal(await tab.focused(), 'Export')
    await tab.reload()
    const downloading = page.waitForEvent('download')
    await link.click()
    const download = await downloading
    t.equal(download.suggestedFilename(), 'people.csv')
    const text = await readFile(await download.path(), 'utf8')
    t.ok(text.endsWith('@example.com,Person 10000,NL,1977-05-19\r\n'), text.slice(-60))
    await tab.shoot('export')
    await fitsThePhone(t, tab)
    await tab.shoot('export-phone')
    t.same(tab.complaints, [])
  })
})
