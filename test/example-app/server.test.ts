import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Test } from 'tap'
import { childEnvironment } from '../support/child-environment.js'
import { readFrames } from '../../lib/testing/index.js'
import { namesOf } from '../support/frames.js'

const cwd = fileURLToPath(new URL('../..', import.meta.url))

function startServer (t: Test, env: Record<string, string>): { child: ChildProcess, output: () => string, errors: () => string } {
  // What `npm start` runs; npm itself would keep a signal to itself.
  const child = spawn('node_modules/.bin/tsx', ['example-app/server.ts'], { cwd, env: { ...childEnvironment, ...env } })
  t.teardown(() => child.kill())
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', text => { output += text })
  child.stderr.setEncoding('utf8').on('data', text => { errors += text })
  return { child, output: () => output, errors: () => errors }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`prints curl lines that work, and ends with code 0 on ${signal}`, async t => {
    const { child, output } = startServer(t, { PORT: '0' })
    while (!/^curl .*process-orders.*\n/m.test(output())) await once(child.stdout!, 'data')
    const [line, ordersLine] = Array.from(output().matchAll(/^curl .*$/gm), ([text]) => text) as [string, string]
    t.match(line, /^curl -N -X POST http:\/\/127\.0\.0\.1:\d+\/commands\/process-files -H 'content-type: application\/json' -d '\{"fileIds":\[.+\]\}'$/)
    const { stdout } = await promisify(execFile)('sh', ['-c', line])
    const names = namesOf(readFrames(stdout))
    t.equal(names[0], 'start')
    t.equal(names.at(-1), 'complete')
    t.equal(names.length, JSON.parse(/-d '(.*)'$/.exec(line)![1]!).fileIds.length + 2)
    const orders = await promisify(execFile)('sh', ['-c', ordersLine])
    t.same(namesOf(readFrames(orders.stdout)), ['start', ...Array(5).fill('progress'), 'complete'])
    const page = /^Open (\S+)/m.exec(output())![1]!
    t.equal((await fetch(page)).status, 200)

    child.kill(signal)
    const [code] = await once(child, 'exit')
    t.equal(code, 0)
  })
}

t.test('says what is wrong with its port', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  for (const [value, message] of [['http', 'PORT is "http"'], ['65536', 'PORT is "65536"'], [String(port), `Port ${port} of 127.0.0.1 is in use`]] as const) {
    const { child, errors } = startServer(t, { PORT: value })
    const [code] = await once(child, 'close')
    t.equal(code, 1)
    t.match(errors(), message)
  }
})
