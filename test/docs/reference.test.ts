import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { errorCodes } from 'fastify'
import t from 'tap'
import ts from 'typescript'
import * as errors from '../../lib/errors.js'
import { pageAt, pages, root } from './pages.js'

const { options: compilerOptions } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config, ts.sys, root)
const [index, kit, client, react] = [join(root, 'index.ts'), join(root, 'lib/testing/index.ts'), join(root, 'lib/client/index.ts'), join(root, 'lib/react/index.ts')]
const program = ts.createProgram([index, kit, client, react], compilerOptions)
const checker = program.getTypeChecker()
const exportsOf = (entry: string): Map<string, ts.Symbol> => new Map(checker
  .getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!)
  .map(symbol => [symbol.name, symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol]))
const exported = exportsOf(index)
const exportedByKit = exportsOf(kit)
const exportedByClient = exportsOf(client)
const exportedByReact = exportsOf(react)

t.test('errors.md has a row for each error, with its status, and for no other', async t => {
  // Errors differ in what their constructors take, and none of them minds getting nothing.
  const made = Object.values(errors).map(ErrorClass => new (ErrorClass as new () => { code: string, statusCode: number })())
  const expected = made.map(({ code, statusCode }) => `${code} ${statusCode}`).sort()
  const rows = rowsOf('docs/reference/errors.md')
  t.ok(expected.length > 15)
  t.same(rows.filter(([code]) => code!.startsWith('MEDIATOR_ERR_')).map(([code, status]) => `${code} ${status}`).sort(), expected)
  for (const cells of rows) t.ok(cells.length === 4 && cells.every(cell => cell !== ''), `${cells[0]} is explained`)
})

t.test('errors.md tells the statuses of Fastify\'s errors as Fastify does', async t => {
  const rows = rowsOf('docs/reference/errors.md').filter(([code]) => code!.startsWith('FST_'))
  t.ok(rows.length > 4)
  for (const [code, status] of rows) t.equal(new errorCodes[code as keyof typeof errorCodes]().statusCode, Number(status), code!)
})

t.test('no page names a code that does not exist', async t => {
  const codes = new Set(Object.values(errors).map(ErrorClass => new (ErrorClass as new () => { code: string })().code))
  for (const { path, text } of pages) {
    for (const [code] of text.matchAll(/\bMEDIATOR_ERR_[A-Z_]*[A-Z]/g)) t.ok(codes.has(code), `${path}: ${code}`)
  }
})

t.test('options.md tells the defaults that the schemas hold', async t => {
  const schemas = ['lib/mediator-options.ts', 'lib/event.ts', 'lib/memory-message-broker.ts', 'lib/memory-stream-log.ts', 'plugins/streaming-mediator.ts'].map(path => readFileSync(join(root, path), 'utf8')).join('\n')
  const defaults = Array.from(schemas.matchAll(/^ {2}(\w+): Type\.\w+\(\{.*\bdefault: ([\d_]+)/gm), ([, name, value]) => [name!, Number(value!.replaceAll('_', ''))] as const)
  t.ok(defaults.length >= 5, `${defaults.length} options in schemas`)
  const rows = rowsOf('docs/reference/options.md')
  for (const [name, value] of defaults) t.ok(rows.some(cells => cells[0] === name && cells[3] === `\`${value}\``), `${name} is ${value} by default`)
})

t.test('options.md has a row for each option, and its default is the one of the code', async t => {
  const rows = rowsOf('docs/reference/options.md')
  const names = new Set<string>()
  for (const type of ['MediatorOptions', 'StreamingMediatorOptions', 'CommandRouteOptions', 'CommandRoutesOptions', 'StreamOptions', 'CallOptions', 'HandlerOptions', 'EventHandlerOptions',
    'FallbackOptions', 'FramesOptions', 'StreamRoutesOptions', 'MemoryMessageBrokerOptions', 'MemoryStreamLogOptions']) {
    for (const { name, doc } of membersOf(type)) {
      names.add(name)
      const row = rows.filter(cells => cells[0] === name)
      t.ok(row.length > 0, `${type}.${name} has a row`)
      const value = /^'?[\w]+'?$/.exec(doc)?.[0]
      if (value !== undefined) t.ok(row.some(cells => cells[3] === `\`${value}\``), `${type}.${name} is ${value} by default`)
    }
  }
  // `prefix` is Fastify's.
  t.same(rows.map(cells => cells[0]!).filter(name => name !== 'prefix' && !names.has(name)), [], 'and no other row')
})

t.test('api.md has a row for each export, and for no other', async t => {
  const [text, testing] = apiText()
  t.ok(exported.size > 20)
  t.same(exportRowsOf(text), [...exported.keys()].filter(name => name !== 'default').sort())
  t.ok(exportedByKit.size > 4)
  t.same(exportRowsOf(testing), [...exportedByKit.keys()].sort())
})

t.test('api.md names the options, the members and the methods of the test kit', async t => {
  const [, testing] = apiText()
  for (const type of exportedByKit.keys()) {
    if (exportedByKit.get(type)!.flags & ts.SymbolFlags.Function) continue
    for (const { name } of membersOf(type, exportedByKit)) t.ok(testing.includes(`\`${name}\``) || testing.includes(`\`${name}(`), `${type}.${name}`)
  }
})

t.test('api.md names the public members of the classes and of the context', async t => {
  const text = pageAt('docs/reference/api.md').text
  for (const type of ['StreamingMediator', 'MediatorCalls', 'MediatorStream', 'MediatorStats', 'StreamEnd', 'StreamFrame', 'HandlerContext', 'EventContext', 'CallContext', 'EmittedEvent', 'EventItem', 'Scope', 'MessageBroker', 'MemoryMessageBroker', 'StreamLog', 'MemoryStreamLog', 'LogWriter', 'LogReader', 'LogEntry', 'LogInfo', 'LogPage', 'LogPosition', 'LogAccess', 'OpenLogOptions', 'ReadLogOptions', 'ListLogsOptions', 'Delivered', 'CommandDefinition', 'EventDefinition', 'Logger']) {
    const members = membersOf(type)
    t.ok(members.length > 0, type)
    for (const { name } of members) t.ok(text.includes(`\`${name}\``) || text.includes(`\`${name}(`), `${type}.${name}`)
  }
})

t.test('client.md has a row for each export of the client, and names their members with their defaults', async t => {
  const { text } = pageAt('docs/reference/client.md')
  t.ok(exportedByClient.size > 10)
  t.same(exportRowsOf(text), [...exportedByClient.keys()].sort())
  const rows = rowsOf('docs/reference/client.md')
  for (const type of ['ClientOptions', 'ReconnectOptions', 'SendOptions', 'AttachOptions', 'Client', 'ClientStream', 'Reconnect', 'ClientError', 'ClientProblem']) {
    const members = membersOf(type, exportedByClient)
    t.ok(members.length > 0, type)
    for (const { name, doc } of members) {
      t.ok(text.includes(`\`${name}\``) || text.includes(`\`${name}(`), `${type}.${name}`)
      if (doc !== '') t.ok(rows.some(cells => cells[0] === name && cells[2] === `\`${doc.replaceAll('_', '')}\``), `${type}.${name} is ${doc} by default`)
    }
  }
})

t.test('client.md has a row for each code of the client, and for no other', async t => {
  const files = readdirSync(join(root, 'lib/client')).map(name => readFileSync(join(root, 'lib/client', name), 'utf8'))
  const codes = new Set(files.flatMap(file => Array.from(file.matchAll(/'(CLIENT_ERR_[A-Z_]+)'/g), ([, code]) => code!)))
  t.ok(codes.size > 5)
  t.same(rowsOf('docs/reference/client.md').map(([code]) => code!).filter(code => code.startsWith('CLIENT_ERR_')).sort(), [...codes].sort())
})

t.test('react.md has a row for each export of the hook, and for each of their members, with its default', async t => {
  const { text } = pageAt('docs/reference/react.md')
  t.ok(exportedByReact.size > 3)
  t.same(exportRowsOf(text), [...exportedByReact.keys()].sort())
  const rows = Array.from(text.matchAll(/^\| `(\w+)(?:\([^`]*\))?` \|(?:[^|]*\| `([^`]*)` \|)?/gm), ([, name, value]) => ({ name, value }))
  for (const type of ['UseStreamOptions', 'StreamSnapshot', 'StreamHandle']) {
    const members = membersOf(type, exportedByReact)
    t.ok(members.length > 1, type)
    for (const { name, doc } of members) {
      const row = rows.find(row => row.name === name)
      t.ok(row, `${type}.${name}`)
      if (doc !== '') t.equal(row?.value, doc.replaceAll('_', ''), `${type}.${name} is ${doc} by default`)
    }
  }
})

/** The page, and its section on the test kit by itself. */
function apiText (): [text: string, testing: string] {
  const { text } = pageAt('docs/reference/api.md')
  const testing = /^## Testing$[^]*?(?=^## |(?![^]))/m.exec(text)![0]
  return [text.replace(testing, ''), testing]
}

/** The names in the tables of exports. */
function exportRowsOf (text: string): string[] {
  const tables = text.split(/\n\n/).filter(part => part.includes('| export |'))
  return tables.flatMap(table => Array.from(table.matchAll(/^\| `(\w+)` \|/gm), ([, name]) => name!)).sort()
}

/** The cells of all rows of a page whose first cell is a name in code. */
function rowsOf (path: string): string[][] {
  return Array.from(pageAt(path).text.matchAll(/^\| `(\w+)` \|.*\|$/gm), ([row, name]) =>
    [name!, ...row.split(/(?<!\\)\|/).slice(2, -1).map(cell => cell.trim())])
}

/** The public members of an exported type that are declared in this repository, with their `@default`. */
function membersOf (type: string, exportedFrom = exported): Array<{ name: string, doc: string }> {
  const symbol = exportedFrom.get(type)
  if (symbol === undefined) throw new Error(`${type} is not exported`)
  return checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))
    .filter(member => /^\w+$/.test(member.name) && !member.name.startsWith('__'))
    .filter(member => !member.getDeclarations()?.every(declaration => declaration.getSourceFile().fileName.includes('node_modules')) || type === 'Logger')
    .filter(member => !member.getJsDocTags(checker).some(({ name }) => name === 'internal'))
    .map(member => ({
      name: member.name,
      doc: member.getJsDocTags(checker).filter(({ name }) => name === 'default').map(({ text }) => ts.displayPartsToString(text)).join('')
    }))
}
