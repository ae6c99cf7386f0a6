import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { access, readFile, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { root } from '../docs/pages.js'

/** What the configuration of a proxy needs to know. */
interface Setting {
  readonly listenPort: number
  readonly appPort: number
  /** A fresh folder for whatever the proxy writes. */
  readonly folder: string
  /** How long an answer may be silent; undefined is what the documented configuration says. */
  readonly silenceMs: number | undefined
}

/** One proxy with the configuration that `docs/guides/deployment.md` shows. */
export interface ProxyKind {
  readonly name: string
  /** The documented configuration, from the root of the repository. */
  readonly file: string
  /** The command's arguments, given the file of the configuration and the folder. */
  command (config: string, folder: string): readonly string[]
  /** The documented configuration with other addresses, and with what running it as a child needs. */
  configure (documented: string, setting: Setting): string
}

/** A proxy that runs. */
export interface RunningProxy {
  readonly port: number
  /** The certificate that it shows, for clients to trust. */
  readonly ca: Buffer
}

export const nginx: ProxyKind = {
  name: 'nginx',
  file: 'docs/guides/proxies/nginx.conf',
  command: (config, folder) => ['-c', config, '-p', folder, '-e', 'stderr'],
  // Around the server is what Debian's nginx.conf says, so that buffering and compression are the defaults.
  configure: (documented, { listenPort, appPort, folder, silenceMs }) => `daemon off;
master_process off;
pid ${folder}/nginx.pid;
events { worker_connections 768; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  gzip on;
${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `  ${name}_temp_path ${folder}/${name};\n`).join('')}
${replace(documented, [
    ['listen 443', `listen 127.0.0.1:${listenPort}`],
    ['127.0.0.1:3000', `127.0.0.1:${appPort}`],
    ['example.com;', 'localhost;'],
    ['/etc/ssl/certs/example.com.pem', `${folder}/cert.pem`],
    ['/etc/ssl/private/example.com.key', `${folder}/key.pem`],
    ['proxy_read_timeout 60s', `proxy_read_timeout ${silenceMs ?? 60_000}ms`]
  ])}
}
`
}

export const haproxy: ProxyKind = {
  name: 'haproxy',
  file: 'docs/guides/proxies/haproxy.cfg',
  command: config => ['-db', '-f', config],
  configure: (documented, { listenPort, appPort, folder, silenceMs }) => replace(documented, [
    ['bind :443', `bind 127.0.0.1:${listenPort}`],
    ['127.0.0.1:3000', `127.0.0.1:${appPort}`],
    ['/etc/haproxy/example.com.pem', `${folder}/both.pem`],
    ['timeout client 60s', `timeout client ${silenceMs ?? 60_000}ms`],
    ['timeout server 60s', `timeout server ${silenceMs ?? 60_000}ms`]
  ])
}

export const caddy: ProxyKind = {
  name: 'caddy',
  file: 'docs/guides/proxies/Caddyfile',
  command: config => ['run', '--adapter', 'caddyfile', '--config', config],
  configure: (documented, { listenPort, appPort, folder, silenceMs }) => `{
  admin off
  auto_https disable_redirects
}

${replace(documented, [
    ['example.com {', `https://localhost:${listenPort} {\n\tbind 127.0.0.1\n\ttls ${folder}/cert.pem ${folder}/key.pem`],
    ['127.0.0.1:3000', `127.0.0.1:${appPort}`],
    ...silenceMs === undefined ? [] : [['transport http {', `transport http {\n\t\t\tread_timeout ${silenceMs}ms`] as const]
  ])}`
}

const run = promisify(execFile)

/** Where the proxy's program is; undefined where it is not installed. Debian keeps servers in a folder that users do not search. */
export async function find (program: string): Promise<string | undefined> {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(folder, program)
    if (await access(path, constants.X_OK).then(() => true, () => false)) return path
  }
  return undefined
}

export interface ProxyOptions {
  /** How long an answer may be silent, in milliseconds. @default what the documented configuration says */
  readonly silenceMs?: number
  /** Changes the configuration further, for what one test is about. */
  readonly edit?: (config: string) => string
  /** What it writes goes there. @default the folder of the test */
  readonly folder?: string
}

/** Runs a proxy in front of an app. It ends with the test, and with the test's process if that ends first. */
export async function startProxy (
  t: Test, kind: ProxyKind, appPort: number, { silenceMs, edit = text => text, folder = t.testdir() }: ProxyOptions = {}
): Promise<RunningProxy> {
  const program = await find(kind.name)
  if (program === undefined) throw new Error(`${kind.name} is not installed`)
  const ca = await makeCertificate(folder)
  const documented = await readFile(join(root, kind.file), 'utf8')
  // Between the moment when a port is found free and the proxy's start another test may have taken it.
  for (let attempt = 1; ; attempt++) {
    const listenPort = await freePort()
    const config = join(folder, 'proxy.conf')
    await writeFile(config, edit(kind.configure(documented, { listenPort, appPort, folder, silenceMs })))
    const problem = await startProgram(t, program, kind.command(config, folder), folder, listenPort)
    if (problem === undefined) return { port: listenPort, ca }
    if (attempt === 3) throw new Error(`${kind.name} does not start: ${problem}`)
  }
}

// The shell waits for the end of its input, which comes when this process ends, however it does.
const guard = 'exec 3<&0; "$@" </dev/null & server=$!; { read line <&3; kill -9 $server; } >/dev/null 2>&1 & wait $server'

/** @returns what the program said when it ended instead of listening */
async function startProgram (t: Test, program: string, args: readonly string[], folder: string, port: number): Promise<string | undefined> {
  const child = spawn('sh', ['-c', guard, 'sh', program, ...args], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  })
  let said = ''
  child.stderr.setEncoding('utf8')
  child.stderr.on('data', (text: string) => { said += text })
  const ended = once(child, 'close')
  t.teardown(async () => {
    child.stdin.end()
    await ended
  })
  while (child.exitCode === null && child.signalCode === null) {
    if (await accepts(port)) return undefined
    await sleep(20)
  }
  return said
}

async function accepts (port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  const accepted = await new Promise<boolean>(resolve => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
  socket.destroy()
  return accepted
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function makeCertificate (folder: string): Promise<Buffer> {
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate])
  const ca = await readFile(certificate)
  await writeFile(join(folder, 'both.pem'), Buffer.concat([ca, await readFile(key)]))
  return ca
}

function replace (text: string, pairs: ReadonlyArray<readonly [from: string, to: string]>): string {
  return pairs.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`The documented configuration does not say ${JSON.stringify(from)}`)
    return changed.replaceAll(from, to)
  }, text)
}
