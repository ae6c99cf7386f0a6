import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import t from 'tap'
import type { Test } from 'tap'
import { childEnvironment } from '../support/child-environment.js'
import { pages, root, writeModules } from './pages.js'
import type { Block } from './pages.js'

const run = promisify(execFile)
const hasCurl = await run('curl', ['--version']).then(() => true, () => false)
const programs = pages.filter(({ blocks }) => blocks.some(({ mark }) => mark === 'run'))

t.test('finds the programs of the README and of the guides', async t => {
  const guides = pages.map(({ path }) => path).filter(path => /^docs\/(?:guides\/|coming-from-)/.test(path))
  t.ok(guides.length > 5)
  t.same(programs.map(({ path }) => path), ['README.md', ...guides], 'every guide has one')
  t.equal(programs[0]!.blocks.filter(({ language }) => language === 'ts').length, 1)
})

for (const page of programs) {
  t.test(`the programs of ${page.path} do what it says`, async t => {
    const files = await bundled(await writeModules(page, t.testdir()), `${t.testdirName}/bundled`)
    let program: Program | undefined
    let compared = 0
    for (const [index, block] of page.blocks.entries()) {
      const said = page.blocks[index + 1]
      if (block.mark === 'run') {
        program = await start(t, files.get(block)!)
        if (program.address !== undefined) continue
        t.equal(program.output.trim(), outputAfter(block, said), `line ${block.line}`)
        compared++
      } else if (program?.address !== undefined && block.text.startsWith('curl ')) {
        if (!hasCurl) {
          t.comment('curl is not installed')
          continue
        }
        const { stdout } = await run('sh', ['-c', block.text.replaceAll('localhost:3000', program.address)])
        t.equal(maskIds(stdout), maskIds(outputAfter(block, said)), `line ${block.line}`)
        compared++
      }
    }
    t.ok(compared > 0 || !hasCurl, `${compared} outputs compared`)
  })
}

/** The programs as JavaScript. All of a page share what they import: to compile the project anew would take each of them a second. */
async function bundled (files: ReadonlyMap<Block, string>, folder: string): Promise<Map<Block, string>> {
  const programs = [...files].filter(([{ mark }]) => mark === 'run')
  await build({
    entryPoints: programs.map(([, file]) => file), outdir: folder, bundle: true, splitting: true, packages: 'external', format: 'esm', platform: 'node', jsx: 'automatic'
  })
  return new Map(programs.map(([block, file]) => [block, join(folder, basename(file).replace(/ts$/, 'js'))]))
}

interface Program {
  /** What it printed until it listened or ended. */
  readonly output: string
  /** Where it listens; undefined when it ended by itself. */
  readonly address: string | undefined
}

async function start (t: Test, file: string): Promise<Program> {
  const child = spawn(process.execPath, [file], { cwd: root, env: childEnvironment, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close') as Promise<[code: number | null]>
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  let output = ''
  child.stdout.setEncoding('utf8')
  const listening = new Promise<string>(resolve => {
    child.stdout.on('data', (text: string) => {
      output += text
      const address = /^http:\/\/(\S+:\d+)$/m.exec(output)
      if (address !== null) resolve(address[1]!)
    })
  })
  const first = await Promise.race([listening, ended])
  if (typeof first === 'string') return { output, address: first }
  t.equal(first[0], 0, `${file} ends well`)
  return { output, address: undefined }
}

function outputAfter ({ line }: Block, said: Block | undefined): string {
  if (said?.language !== 'text') throw new Error(`The block at line ${line} is not followed by its output`)
  return said.text.trim()
}

// The id of each stream is another one: what a page says and what was printed are compared without it.
function maskIds (text: string): string {
  const ids = Array.from(text.matchAll(/"(?:streamId|instance)":"([\w-]{22})"/g), ([, id]) => id!)
  return ids.reduce((masked, id) => masked.replaceAll(id, '<stream>'), text.trim())
}
