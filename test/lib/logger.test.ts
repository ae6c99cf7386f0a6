import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { createDefaultLogger } from '../../lib/logger.js'

t.test('logs at warn and above', async t => {
  const logger = createDefaultLogger() as ReturnType<typeof createDefaultLogger> & { level: string }
  t.equal(logger.level, 'warn')
})

t.test('writes to stderr at once and leaves stdout to the program', async t => {
  const program = `
    const { createDefaultLogger } = await import(${JSON.stringify(new URL('../../lib/logger.ts', import.meta.url).href)})
    const log = createDefaultLogger().child({ streamId: 'a' })
    log.info('not shown')
    log.warn({ reason: 'cancelled' }, 'shown')
    process.kill(process.pid, 'SIGKILL')`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  t.equal(stdout, '')
  t.match(JSON.parse(stderr), { level: 40, streamId: 'a', reason: 'cancelled', msg: 'shown' })
})
