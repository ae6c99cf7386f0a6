import t from 'tap'
import { Tab, chromiumMissing } from '../support/chromium.js'
import { RunningApp } from './running-app.js'

const verbs = new Set(['get', 'post', 'delete'])

t.test('describes each command and each query with all of its frames', async t => {
  const app = await new RunningApp().start(t)
  const document = await (await fetch(`${app.url}/docs/json`)).json() as any
  t.match(document, { openapi: '3.2.0', info: { title: String, version: String } })
  const described = new Map<string, string[]>()
  for (const [path, item] of Object.entries<any>(document.paths)) {
    t.match(path, /^\//)
    for (const [method, operation] of Object.entries<any>(item)) {
      const where = `${method} ${path}`
      t.ok(verbs.has(method), where)
      const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name)
      t.same((operation.parameters ?? []).filter((parameter: any) => parameter.in === 'path').map(({ name }: any) => name), inPath, where)
      t.ok(Object.values<any>(operation.responses).every(({ description }) => typeof description === 'string'), where)
      const { 200: ok, default: problem } = operation.responses
      t.match(Object.keys(problem.content), ['application/problem+json'], where)
      for (const type of ['text/event-stream', 'application/x-ndjson']) {
        const kinds = kindsOf(ok.content[type].itemSchema)
        t.same([kinds[0].title, kinds.at(-1).description], ['start', 'The last frame, where the command has failed'], where)
        t.ok(kinds.length >= 3, where)
      }
      described.set(where, ok.content['application/x-ndjson'].itemSchema.oneOf.map(({ title }: any) => title))
    }
  }
  for (const [where, frames] of Object.entries({
    'post /commands/process-files': ['start', 'progress', 'complete', 'failed'],
    'get /commands/process-files': ['start', 'progress', 'complete', 'failed'],
    'post /process-files': ['start', 'progress', 'complete', 'error'],
    'post /jobs/process-files': ['start', 'progress', 'complete', 'failed'],
    'post /commands/process-orders': ['start', 'progress', 'complete', 'failed'],
    'post /tasks': ['start', 'complete', 'failed'],
    'get /tasks': ['start', 'complete', 'failed'],
    'get /tasks/{id}/progress': ['start', 'progress', 'complete', 'failed'],
    'post /tasks/{id}/execute': ['start', 'progress', 'complete', 'failed'],
    'get /stream/tasks': ['start', 'progress', 'complete', 'failed'],
    'get /stream/system': ['start', 'cpu', 'memory', 'loop-delay', 'complete', 'failed'],
    'get /stream/countdown/{seconds}': ['start', 'tick', 'complete', 'failed'],
    'get /stream/failing': ['start', 'progress', 'complete', 'failed'],
    'post /commands/chat': ['start', 'token', 'complete', 'failed'],
    'post /jobs/chat': ['start', 'token', 'complete', 'failed']
  })) {
    t.same(described.get(where), frames, where)
  }
  // Where data carries its type, there is no event field.
  const { properties } = document.paths['/process-files'].post.responses[200].content['text/event-stream'].itemSchema
  t.match(Object.keys(properties), ['id', 'data'])
  t.match(properties.data.contentSchema.oneOf[1], { properties: { type: { enum: ['progress'] }, data: { properties: { fileId: { type: 'string' } } } } })
})

t.test('opens in Chromium without a complaint, by headers of its own', { skip: chromiumMissing }, async t => {
  const app = await new RunningApp().start(t)
  const policyOf = async (path: string): Promise<string | null> => (await fetch(app.url + path)).headers.get('content-security-policy')
  t.match(await policyOf('/docs/'), "style-src 'self' 'unsafe-inline'")
  t.notMatch(await policyOf('/docs/'), "script-src 'self' 'unsafe")
  t.notMatch(await policyOf('/'), 'unsafe')
  const tab = await Tab.open(t, `${app.url}/docs`)
  await tab.page.getByText('/stream/countdown/{seconds}').first().click()
  await tab.page.getByText('text/event-stream').first().waitFor()
  await tab.shoot('api')
  await tab.page.setViewportSize({ width: 360, height: 900 })
  await tab.shoot('api-phone')
  t.equal(await tab.evaluate('document.documentElement.scrollWidth'), 360)
  t.strictSame(tab.complaints, [])
})

/** What tells the kinds of frames apart is the item or, where data carries its type, the text in it. */
function kindsOf ({ oneOf, properties }: any): any[] {
  return oneOf ?? properties.data.contentSchema.oneOf
}
