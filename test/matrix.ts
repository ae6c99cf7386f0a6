import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { delimiter, dirname, join, resolve } from 'node:path'

// Runs the suite on several versions of Node, one after the other: `npm run test:matrix -- 20 26 test/lib/*.test.ts`. Numbers choose versions, and
// all else goes to tap. The versions are npm's packages of Node's binaries, without their install scripts.

const root = resolve(import.meta.dirname, '..')
const supported = ['20', '22', '24', '26']
const windows = process.platform === 'win32'

interface Run {
  readonly version: string
  readonly ok: boolean
  readonly summary: string
}

const given = process.argv.slice(2)
const asked = given.filter(isVersion)
const tapArguments = given.filter(argument => !isVersion(argument))
const runs: Run[] = []
for (const version of asked.length > 0 ? asked : supported) {
  console.log(`# Node ${version}`)
  try {
    runs.push(await runSuite(version, await findNode(version)))
  } catch (error) {
    runs.push({ version, ok: false, summary: String(error) })
  }
}
for (const { version, ok, summary } of runs) console.log(`Node ${version}: ${ok ? 'passed' : 'FAILED'}, ${summary}`)
process.exitCode = runs.every(({ ok }) => ok) ? 0 : 1

function isVersion (argument: string): boolean {
  return /^\d+(?:\.\d+)*$/.test(argument)
}

/** The binary of that version: the one that runs this, one that was installed before, or a new one. */
async function findNode (version: string): Promise<string> {
  if (`${process.versions.node}.`.startsWith(`${version}.`)) return process.execPath
  const name = `node-${windows ? 'win' : process.platform}-${process.arch}`
  const folder = join(root, 'node_modules/.cache/node', version)
  const binary = join(folder, 'node_modules', name, windows ? 'bin/node.exe' : 'bin/node')
  if (await access(binary).then(() => true, () => false)) return binary
  const npm = spawn('npm', ['install', '--prefix', folder, '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${version}`],
    { stdio: 'inherit', shell: windows })
  const [code] = await once(npm, 'close')
  if (code !== 0) throw new Error(`npm cannot install ${name}@${version}`)
  return binary
}

/** Coverage is the business of `npm test`: the lines are the same on every version. */
async function runSuite (version: string, node: string): Promise<Run> {
  const startedAt = performance.now()
  const tap = createRequire(import.meta.url).resolve('tap/package.json').replace('package.json', 'dist/esm/run.mjs')
  const child = spawn(node, [tap, '--disable-coverage', '--reporter=tap', ...tapArguments], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    // What tests start as `node` is this version, too.
    env: { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env['PATH']}` }
  })
  let last = ''
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (text: string) => {
    process.stdout.write(text)
    last = (last + text).slice(-10_000)
  })
  const [code] = await once(child, 'close')
  const totals = /^# \{ (total: .*) \}$/m.exec(last)?.[1]
  // In CI nothing is skipped.
  const ok = code === 0 && totals !== undefined && !(process.env['CI'] !== undefined && /\bskip: /.test(totals))
  return { version, ok, summary: `${totals ?? `status ${code}`} in ${Math.round((performance.now() - startedAt) / 1_000)} s` }
}
