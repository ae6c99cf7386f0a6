import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { pages, root, writeModules } from './pages.js'

t.test('every ts and tsx block of the docs compiles with the settings of the project', { timeout: 60_000 }, async t => {
  const folder = t.testdir()
  const places = new Map<string, string>()
  const shared: string[] = []
  const programs = [shared]
  for (const page of pages) {
    const files = await writeModules(page, folder)
    for (const [block, file] of files) places.set(file, `${page.path}:${block.line}`)
    // What a page adds to an interface would hold for the others of its program.
    if (page.blocks.some(({ text }) => text.includes('declare module'))) programs.push([...files.values()])
    else shared.push(...files.values())
  }
  const wrong = join(folder, 'wrong.ts')
  await writeFile(wrong, 'export const text: string = 1\n')
  shared.push(wrong)
  const problems = new Map(programs.flatMap(files => [...check(files)]))
  t.match(problems.get(wrong), [/Type 'number' is not assignable/], 'the check sees a wrong type')
  for (const [file, place] of places) t.same(problems.get(file) ?? [], [], place)
})

t.test('every js block of the docs can be parsed', async t => {
  for (const { path, blocks } of pages) {
    for (const { language, text, line } of blocks) {
      if (language !== 'js') continue
      const { diagnostics } = ts.transpileModule(text, { reportDiagnostics: true, compilerOptions: { target: ts.ScriptTarget.ES2022 } })
      t.same(diagnostics?.map(messageOf), [], `${path}:${line}`)
    }
  }
})

function check (files: readonly string[]): Map<string, string[]> {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile) as { config: unknown }
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram(files, { ...options, jsx: ts.JsxEmit.ReactJSX })
  const problems = new Map<string, string[]>()
  for (const file of files) {
    const source = program.getSourceFile(file)
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    if (found.length > 0) problems.set(file, found.map(messageOf))
  }
  return problems
}

function messageOf ({ messageText }: ts.Diagnostic): string {
  return ts.flattenDiagnosticMessageText(messageText, '\n')
}
