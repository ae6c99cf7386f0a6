import { readdir } from 'node:fs/promises'
import t from 'tap'
import fastify from 'fastify'
import { pages } from '../../example-app/pages.js'
import { RunningApp, exampleFiles } from './running-app.js'

t.test('lists the files with their sizes', async t => {
  const app = await new RunningApp().start(t)
  const files = await (await fetch(`${app.url}/files`)).json() as Array<{ fileId: string, sizeBytes: number }>
  t.same(files.map(({ fileId }) => fileId), (await readdir(exampleFiles)).sort())
  t.match(files.find(({ fileId }) => fileId === 'empty'), { sizeBytes: 0 })
})

t.test('serves pages that need nothing from elsewhere and run only their own scripts', async t => {
  const app = await new RunningApp().start(t)
  for (const page of ['/', '/import', '/export', '/orders', '/tasks', '/chat', '/downloads', '/eventsource/']) {
    const response = await fetch(app.url + page, { headers: { accept: 'text/html,*/*;q=0.8' } })
    t.equal(response.status, 200, page)
    const html = await response.text()
    t.match(response.headers.get('content-type'), 'text/html')
    t.match(response.headers.get('content-security-policy'), /default-src 'none'; script-src 'self'/)
    t.notMatch(response.headers.get('content-security-policy'), 'unsafe')
    t.notMatch(html, /https?:|\son\w+=|style=|<script>/)
    const linked = Array.from(html.matchAll(/(?:src|href)="([^":]+)"/g), match => new URL(match[1]!, app.url + page))
    t.ok(linked.length >= 2, page)
    for (const url of linked) t.equal((await fetch(url)).status, 200, url.pathname)
  }
})

t.test('says what to do where the pages are not built', async t => {
  await t.rejects(async () => { await fastify().register(pages, { builtPages: `${t.testdir()}/dist/` }) }, { message: /npm run build:pages/ })
})
