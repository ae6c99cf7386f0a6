import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { childEnvironment } from './support/child-environment.js'

const run = promisify(execFile)
const env = childEnvironment

const app = `
import Fastify from 'fastify'
import { Type } from '@sinclair/typebox'
import streamingMediator, { commandRoute, commandRoutes, defineCommand, defineEvent, StreamingMediator } from 'fastify-streaming-mediator'
import type { Handler } from 'fastify-streaming-mediator'
import { createClient } from 'fastify-streaming-mediator/client'
import { readFrames, runHandler } from 'fastify-streaming-mediator/testing'

const Count = defineCommand({
  name: 'count',
  input: Type.Object({ to: Type.Integer() }),
  progress: Type.Object({ n: Type.Integer() }),
  result: Type.Object({ total: Type.Integer() })
})
const Counted = defineEvent({ name: 'counted', payload: Type.Object({ n: Type.Integer() }) })
const count: Handler<typeof Count> = async function * ({ to }, { emit }) {
  for (let n = 1; n <= to; n++) {
    emit(Counted, { n })
    yield { n }
  }
  return { total: to }
}

const app = Fastify()
await app.register(streamingMediator)
app.mediator.addHandler(Count, count)
app.mediator.addEventHandler(Counted, event => { const n: number = event.payload.n; void n })
app.route(commandRoute(Count, { url: '/count' }))
await app.register(commandRoutes, { prefix: '/commands', commands: [Count] })
const response = await app.inject({ method: 'POST', url: '/count', payload: { to: 2 } })
const mediator = new StreamingMediator()
mediator.addHandler(Count, count)
const { total }: { total: number } = await mediator.send(Count, { to: 3 })
const run = await runHandler(Count, count, { to: 1 })
const progress: ReadonlyArray<{ n: number }> = run.progress
console.log(readFrames(response).map(({ event }) => event).join(' '), total)
console.log(progress, run.result, run.events)
const client = createClient<{ count: typeof Count }>({ baseUrl: await app.listen({ port: 0 }) })
const counted: { total: number } = await client.stream('count', { to: 4 }).result
console.log(counted)
await app.close()
`

const page = `
import { createClient } from 'fastify-streaming-mediator/client'

const client = createClient({ baseUrl: '/commands', fetch: (url, init) => fetch(url, { ...init, credentials: 'include' }) })
for await (const progress of client.stream('count', {}, { signal: AbortSignal.timeout(1_000) })) console.log(progress)
export {}
`

const component = `
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { createClient } from 'fastify-streaming-mediator/client'
import { useStream } from 'fastify-streaming-mediator/react'

const client = createClient({ baseUrl: '/commands' })
function Status () {
  const { status, start } = useStream(client, 'count', { keep: 100, resume: 'count' })
  return createElement('button', { onClick: () => { void start({}) } }, status)
}
console.log(renderToString(createElement(Status)))
`

t.test('an app in a fresh folder that installs the tarball type-checks and runs', { timeout: 240_000 }, async t => {
  const folder = t.testdir()
  // Packing builds first.
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { env })
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('[\n')))
  const names: string[] = packed.files.map(({ path }: { path: string }) => path)
  const extra = names.filter(name => !/^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|CONTRIBUTING\.md|SECURITY\.md|docs\/.+\.(?:md|svg|png)|docs\/guides\/proxies\/\w+(?:\.\w+)?|dist\/(?:index|(?:lib|routes|plugins)\/(?:[a-z]+\/)?[a-z0-9-]+)\.(?:js|d\.ts))$/.test(name))
  t.strictSame(extra, [], 'nothing else is in the tarball')
  for (const name of ['dist/index.js', 'dist/index.d.ts', 'dist/lib/testing/index.js', 'dist/lib/testing/index.d.ts', 'dist/lib/react/index.js', 'dist/lib/react/index.d.ts', 'README.md', 'LICENSE', 'CHANGELOG.md']) t.ok(names.includes(name), name)

  const { devDependencies } = JSON.parse(JSON.stringify((await import('../package.json', { with: { type: 'json' } })).default))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }))
  await writeFile(join(folder, 'app.ts'), app)
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { target: 'es2022', lib: ['es2023'], module: 'nodenext', strict: true, rootDir: '.', types: ['node'], skipLibCheck: false },
    files: ['app.ts']
  }))
  const dependency = (name: string): string => `${name}@${devDependencies[name]}`
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, packed.filename),
    ...['fastify', '@sinclair/typebox', 'typescript', '@types/node', 'react', 'react-dom', '@types/react', '@types/react-dom'].map(dependency)], { cwd: folder, env })
  await run('npx', ['tsc'], { cwd: folder, env }).catch(error => t.fail(error.stdout))
  t.equal((await run('node', ['app.js'], { cwd: folder, env })).stdout, 'start progress progress complete 3\n' +
    "[ { n: 1 } ] { total: 1 } [ { name: 'counted', payload: { n: 1 } } ]\n{ total: 4 }\n")
  // What a page is built from: no types of Node.
  await mkdir(join(folder, 'page'))
  await writeFile(join(folder, 'page/page.ts'), page)
  await writeFile(join(folder, 'page/tsconfig.json'), JSON.stringify({
    compilerOptions: {
      target: 'es2022', lib: ['es2023', 'dom'], module: 'esnext', moduleResolution: 'bundler', strict: true, types: [], skipLibCheck: false, noEmit: true
    }
  }))
  await run('npx', ['tsc', '-p', 'page'], { cwd: folder, env }).catch(error => t.fail(error.stdout))
  await writeFile(join(folder, 'component.ts'), component)
  await run('npx', ['tsc', '--target', 'es2022', '--module', 'nodenext', '--strict', '--types', 'react', '--ignoreConfig', 'component.ts'], { cwd: folder, env })
    .catch(error => t.fail(error.stdout))
  t.equal((await run('node', ['component.js'], { cwd: folder, env })).stdout, '<button>idle</button>\n')
})
