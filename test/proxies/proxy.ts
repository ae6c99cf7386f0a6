import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { root } from '../docs/pages.js'
import { findProgram, startServer } from '../support/server-program.js'

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
  const program = await findProgram(kind.name)
  if (program === undefined) throw new Error(`${kind.name} is not installed`)
  const ca = await makeCertificate(folder)
  const documented = await readFile(join(root, kind.file), 'utf8')
  const port = await startServer(t, async listenPort => {
    const config = join(folder, 'proxy.conf')
    await writeFile(config, edit(kind.configure(documented, { listenPort, appPort, folder, silenceMs })))
    return {
      program,
      args: kind.command(config, folder),
      env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
    }
  })
  return { port, ca }
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
