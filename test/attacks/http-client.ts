import { connect } from 'node:net'

/** What came back on a connection, byte for byte. */
export interface Answer {
  readonly status: number
  /** In the order of the wire, names in lower case. */
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly body: Buffer
  /** What came behind the first answer. */
  readonly rest: string
}

export interface Request {
  readonly method?: string
  readonly path: string
  /** Written as they are, in UTF-8. */
  readonly headers?: ReadonlyArray<readonly [string, string]>
  readonly body?: string | Buffer
  /** Bytes in place of all of the above. */
  readonly raw?: string | Buffer
}

/** Sends one request on a connection of its own, and reads what comes back until the server closes it. */
export async function exchange (port: number, request: Request): Promise<Answer> {
  const chunks: Buffer[] = []
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within 20 s to ${request.path}: ${Buffer.concat(chunks).toString('latin1').slice(0, 500)}`)), 20_000)
    let failure: Error | undefined
    socket.on('error', error => { failure = error })
    socket.on('data', chunk => chunks.push(chunk))
    socket.on('close', () => {
      clearTimeout(timer)
      // A server that refuses early resets a connection that goes on sending; its answer has arrived by then.
      if (failure !== undefined && chunks.length === 0) reject(failure)
      else resolve()
    })
    socket.write(bytesOf(request))
  })
  return parse(Buffer.concat(chunks))
}

function bytesOf ({ method = 'POST', path, headers = [], body, raw }: Request): Buffer {
  if (raw !== undefined) return Buffer.from(raw)
  const content = Buffer.from(body ?? '')
  const given = new Set(headers.map(([name]) => name.toLowerCase()))
  const defaults = [
    ['host', 'localhost'],
    ['connection', 'close'],
    ...body === undefined ? [] : [['content-type', 'application/json'], ['content-length', String(content.length)]]
  ].filter(([name]) => !given.has(name!))
  const head = [...defaults, ...headers].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}\r\n`), content])
}

function parse (bytes: Buffer): Answer {
  const end = bytes.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const status = /^HTTP\/1\.1 (\d{3}) [ -~]*$/.exec(statusLine)?.[1]
  if (end === -1 || status === undefined) throw new Error(`This is no answer: ${JSON.stringify(bytes.toString('latin1').slice(0, 500))}`)
  const headers = lines.map(line => {
    const match = /^([!#$%&'*+.^_`|~\w-]+): ([ -~]*)$/.exec(line)
    if (match === null) throw new Error(`This is no header: ${JSON.stringify(line)}`)
    return [match[1]!.toLowerCase(), match[2]!] as const
  })
  const get = (name: string): string | undefined => headers.find(([other]) => other === name)?.[1]
  const after = bytes.subarray(end + 4)
  if (get('transfer-encoding') === 'chunked') return { status: Number(status), headers, ...dechunk(after) }
  const length = Number(get('content-length') ?? 0)
  return { status: Number(status), headers, body: after.subarray(0, length), rest: after.subarray(length).toString('latin1') }
}

function dechunk (bytes: Buffer): Pick<Answer, 'body' | 'rest'> {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const size = /^[0-9a-f]+$/i.test(bytes.toString('latin1', at, lineEnd)) ? parseInt(bytes.toString('latin1', at, lineEnd), 16) : NaN
    const end = lineEnd + 2 + size
    if (lineEnd === -1 || Number.isNaN(size) || bytes.toString('latin1', end, end + 2) !== '\r\n') throw new Error('The body is not chunked as it should be')
    if (size === 0) return { body: Buffer.concat(parts), rest: bytes.toString('latin1', end + 2) }
    parts.push(bytes.subarray(lineEnd + 2, end))
    at = end + 2
  }
}
