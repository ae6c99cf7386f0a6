import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { FakeModel, begin, ending, token } from './fake-model.js'
import { RunningApp, exampleFiles } from './running-app.js'

/** The page, and the answers of its model as they are asked for. */
async function openPage (t: Test, options: Parameters<typeof Tab.open>[2] = {}) {
  const waiting: Array<(response: ServerResponse) => void> = []
  const model = await new FakeModel().start(t, response => waiting.shift()!(response))
  const app = await new RunningApp().start(t, exampleFiles, { chat: { upstream: model.upstream, graceMs: 60_000 } })
  const tab = await Tab.open(t, `${app.url}/chat`, options)
  const asked = async (): Promise<ServerResponse> => await new Promise(resolve => waiting.push(resolve))
  const send = async (text: string): Promise<ServerResponse> => {
    const response = asked()
    await tab.page.getByLabel('Your message').fill(text)
    await tab.page.getByRole('button', { name: 'Send' }).click()
    return await response
  }
  return { model, tab, page: tab.page, asked, send, answer: tab.page.getByTestId('answer'), log: tab.page.getByRole('log', { name: 'Messages' }) }
}

t.test('the chat page in Chromium', { skip: chromiumMissing }, async t => {
  t.test('shows an answer while it comes, goes on with it after a reload, and reads it out when it is there', async t => {
    const { model, tab, send, answer, log } = await openPage(t)
    const response = await send('Who are you?')
    begin(response)
    response.write(token('I am'))
    await answer.getByText('I am').waitFor()
    t.equal(await answer.getAttribute('aria-live'), 'off')
    t.notMatch(await log.textContent(), 'I am')
    await tab.shoot('chat')

    await tab.reload()
    await answer.getByText('I am').waitFor()
    t.match(await log.textContent(), 'Who are you?')
    response.write(token(' a model'))
    await answer.getByText('I am a model').waitFor()
    response.end(ending)
    await log.getByText('I am a model').waitFor()
    t.equal(await answer.count(), 0)
    t.equal(model.requests.length, 1, 'the model was asked once')

    const next = await send('And now?')
    t.match(model.requests[1]!.body.messages, [{ role: 'user' }, { role: 'assistant', content: 'I am a model' }, { role: 'user', content: 'And now?' }])
    begin(next)
    next.end(token('Nothing') + ending)
    await log.getByText('Nothing').waitFor()
    await tab.reload()
    await log.getByText('Nothing').waitFor()
    t.strictSame(tab.complaints, [])
  })

  t.test('stops an answer by keyboard, which leaves the model, and keeps what was said', async t => {
    const { tab, send, answer, log } = await openPage(t, { dark: true })
    const response = await send('Tell me all')
    begin(response)
    response.write(token('In the beginning'))
    await answer.getByText('In the beginning').waitFor()
    t.equal(await tab.focused(), 'Stop')
    const left = once(response, 'close')
    await tab.press('Enter')
    await left
    await log.getByText('In the beginning').waitFor()
    t.equal(await tab.focused(), 'textarea')
    await tab.shoot('chat-dark')
    t.strictSame(tab.complaints, [])
  })

  t.test('says so when the model refuses, and asks again, on a phone as well', async t => {
    const { tab, page, asked, send, model, log } = await openPage(t, { viewport: { width: 360, height: 740 } })
    const response = await send('x'.repeat(200))
    response.writeHead(401).end()
    await page.getByText('Failed: Internal Server Error').waitFor()
    t.equal(await tab.evaluate('document.documentElement.scrollWidth'), 360)
    await tab.shoot('chat-phone')
    t.equal(await page.getByRole('button', { name: 'Try again' }).isEnabled(), true)
    t.equal(model.requests.length, 1)
    const again = asked()
    await page.getByRole('button', { name: 'Try again' }).press('Enter')
    begin(await again)
    await page.getByText('Answering…').waitFor()
    t.equal(await tab.focused(), 'Stop', 'the button that was pressed is gone')
    ;(await again).end(token('I am busy') + ending)
    await log.getByText('I am busy').waitFor()
    const next = await send('Once more')
    begin(next)
    next.end(token('Here I am') + ending)
    await log.getByText('Here I am').waitFor()
    t.strictSame(tab.complaints.filter(text => !text.includes('500 (Internal Server Error)')), [])
  })
})
