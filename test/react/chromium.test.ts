import { build } from 'esbuild'
import t from 'tap'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { createSubject } from './subject.js'

// What a page would have of its own: the states that it shows, in its title.
const page = `
import { createElement } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from './lib/client/index.js'
import { useStream } from './lib/react/index.js'

const client = createClient({ baseUrl: '/commands' })
function Page () {
  const { start, status, count, result } = useStream(client, 'count', { resume: 'count' })
  return createElement('button', { onClick: () => { void start({ to: 3, label: 'n' }) } }, [status, count, result?.total].join(' '))
}
createRoot(document.getElementById('root')).render(createElement(Page))
`

t.test('a page of React in Chromium goes on after a reload, and runs its command once', { skip: chromiumMissing }, async t => {
  const { outputFiles } = await build({
    stdin: { contents: page, resolveDir: process.cwd() }, bundle: true, format: 'esm', define: { 'process.env.NODE_ENV': '"production"' }, write: false
  })
  const html = '<!doctype html><link rel="icon" href="data:,"><title>Page</title><div id="root"></div><script type="module" src="/page.js"></script>'
  const { address, gate, started } = await createSubject(t, {}, app => {
    app.get('/page.js', (_request, reply) => reply.type('text/javascript').send(outputFiles[0]!.text))
    app.get('/', (_request, reply) => reply.type('text/html').send(html))
  })
  const tab = await Tab.open(t, address)
  const button = tab.page.locator('button')
  t.equal(await button.textContent(), 'idle 0 ')
  await button.click()
  await tab.page.getByText('open 1').waitFor()
  await tab.reload()
  await tab.page.getByText('open 1').waitFor()
  gate.resolve()
  await tab.page.getByText('complete 3 3').waitFor()
  await tab.reload()
  await tab.page.getByText('complete 3 3').waitFor()
  t.strictSame(started, [3])
  t.strictSame(tab.complaints, [])
})
