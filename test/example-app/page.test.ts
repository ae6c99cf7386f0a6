import { readdir } from 'node:fs/promises'
import t from 'tap'
import { RunningApp, exampleFiles } from './running-app.js'

t.test('lists the files with their sizes', async t => {
  const app = await new RunningApp().start(t)
  const files = await (await fetch(`${app.url}/files`)).json() as Array<{ fileId: string, sizeBytes: number }>
  t.same(files.map(({ fileId }) => fileId), (await readdir(exampleFiles)).sort())
  t.match(files.find(({ fileId }) => fileId === 'empty'), { sizeBytes: 0 })
})

t.test('serves a page that needs nothing from elsewhere and runs only its own script', async t => {
  const app = await new RunningApp().start(t)
  const response = await fetch(app.url)
  const html = await response.text()
  t.match(response.headers.get('content-type'), 'text/html')
  t.match(response.headers.get('content-security-policy'), /default-src 'none'; script-src 'self'/)
  t.notMatch(response.headers.get('content-security-policy'), 'unsafe')
  t.notMatch(html, /https?:|\son\w+=|style=|<script>/)
  const linked = Array.from(html.matchAll(/(?:src|href)="(\/[^"]*)"/g), match => match[1]!)
  t.same(linked, ['/style.css', '/app.js', '/analytics', '/recent-files'])
  for (const path of linked) t.equal((await fetch(app.url + path)).status, 200, path)
  t.match((await fetch(`${app.url}/app.js`)).headers.get('content-type'), 'text/javascript')
})
