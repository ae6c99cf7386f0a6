import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import ts from 'typescript'

// What users import. Nothing else re-exports.
const entries = ['index.ts', 'lib/client/index.ts', 'lib/react/index.ts', 'lib/testing/index.ts']
const folders = ['lib', 'routes', 'plugins']
const files = folders.flatMap(folder => readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts')).map(name => normalize(`${folder}/${name}`)))

/** What a file imports: packages by name, files by their path from the root. */
function importsOf (file: string): Array<{ from: string, typeOnly: boolean, reexport: boolean }> {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022)
  return source.statements.flatMap(statement => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return []
    if (statement.moduleSpecifier === undefined || !ts.isStringLiteral(statement.moduleSpecifier)) return []
    const { text } = statement.moduleSpecifier
    return [{
      from: text.startsWith('.') ? join(dirname(file), text).replace(/\.js$/, '.ts') : text,
      typeOnly: ts.isExportDeclaration(statement) ? statement.isTypeOnly : statement.importClause?.isTypeOnly ?? false,
      reexport: ts.isExportDeclaration(statement)
    }]
  })
}

t.test('lib knows neither Fastify nor HTTP', async t => {
  for (const file of files.filter(file => file.startsWith('lib/'))) {
    const foreign = importsOf(file).map(({ from }) => from)
      .filter(from => /^(?:fastify|@fastify\/(?!error$)|fastify-plugin|routes\/|plugins\/)/.test(from))
    t.strictSame(foreign, [], file)
  }
})

t.test('lib/client runs in a browser: no node: modules, and only types of the rest of lib', async t => {
  const own = files.filter(file => file.startsWith('lib/client/'))
  t.ok(own.length > 5)
  for (const file of own) {
    const foreign = importsOf(file).filter(({ from, typeOnly }) => from.startsWith('node:') || (!typeOnly && /^lib\/(?!client\/)/.test(from)))
    t.strictSame(foreign, [], file)
  }
})

t.test('lib/react runs in a browser too: it knows React and the client, and nothing else', async t => {
  const own = files.filter(file => file.startsWith('lib/react/'))
  t.ok(own.length > 3)
  for (const file of own) t.strictSame(importsOf(file).filter(({ from }) => !/^(?:react$|lib\/(?:client|react)\/)/.test(from)), [], file)
})

t.test('routes do not wire and plugins do not translate', async t => {
  for (const file of files.filter(file => file.startsWith('routes/'))) {
    t.strictSame(importsOf(file).filter(({ from }) => /^(?:plugins\/|index\.ts|fastify-plugin)/.test(from)), [], file)
  }
  for (const file of files.filter(file => file.startsWith('plugins/'))) {
    t.strictSame(importsOf(file).filter(({ from }) => /^(?:index\.ts|node:http2?$|node:stream)/.test(from)), [], file)
  }
})

t.test('each entry has an export of the package, and each export an entry', async t => {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: Record<string, string | { default: string }> }
  const targets = Object.values(exports).flatMap(target => typeof target === 'string' ? [] : [target.default])
  t.strictSame(targets.sort(), entries.map(entry => `./dist/${entry.replace(/\.ts$/, '.js')}`).sort())
})

t.test('only the entries re-export, and nothing imports one', async t => {
  for (const file of files) {
    const imports = importsOf(file)
    t.strictSame(imports.filter(({ reexport, from }) => (reexport && !entries.includes(file)) || entries.includes(from)), [], file)
  }
})

t.test('what an app loads does not load the test kit', async t => {
  for (const file of files.filter(file => !file.startsWith('lib/testing/'))) {
    t.strictSame(importsOf(file).filter(({ from }) => from.startsWith('lib/testing/')), [], file)
  }
})

t.test('what an app loads does not load the client, nor React', async t => {
  for (const file of files.filter(file => !/^lib\/(?:client|react)\//.test(file))) {
    t.strictSame(importsOf(file).filter(({ from }) => /^lib\/(?:client|react)\//.test(from)), [], file)
  }
})

t.test('the entries reach every file, so that coverage counts each', async t => {
  const reached = new Set<string>()
  const visit = (file: string): void => {
    if (reached.has(file)) return
    reached.add(file)
    importsOf(file).filter(({ from }) => files.includes(from)).forEach(({ from }) => visit(from))
  }
  entries.forEach(visit)
  t.strictSame(files.filter(file => !reached.has(file)), [])
})

t.test('imports make no circle', async t => {
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) throw new Error(`circle: ${[...path, file].join(' -> ')}`)
    for (const { from, typeOnly } of importsOf(file)) {
      if (!typeOnly && files.includes(from)) visit(from, [...path, file])
    }
  }
  for (const file of files) t.doesNotThrow(() => visit(file, []), file)
})

t.test('a file has the name of its concept', async t => {
  for (const file of files) t.match(file, /^[a-z]+\/(?:[a-z]+\/)?(?!utils?\.|helpers?\.|types\.|common\.)[a-z0-9]+(?:-[a-z0-9]+)*\.tsx?$/, file)
})

t.test('an optional dependency is imported by one file', async t => {
  const { peerDependenciesMeta = {} } = JSON.parse(readFileSync('package.json', 'utf8'))
  for (const name of Object.keys(peerDependenciesMeta)) {
    t.equal(files.filter(file => importsOf(file).some(({ from }) => from === name)).length, 1, name)
  }
})

t.test('every dependency is used, and everything used is a dependency', async t => {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
  const declared = Object.keys({ ...dependencies, ...peerDependencies }).sort()
  const used = new Set(files.flatMap(importsOf).map(({ from }) => from).filter(from => !/^node:|\.ts$/.test(from)))
  t.strictSame([...used].sort(), declared)
})
