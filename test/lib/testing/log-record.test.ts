import { pino } from 'pino'
import t from 'tap'
import type { Logger } from '../../../lib/logger.js'
import { recordingLogger } from '../../../lib/testing/log-record.js'
import type { LogRecord } from '../../../lib/testing/log-record.js'
import { createLog } from '../../support/app.js'

const error = new Error('out of paper')

const calls: Record<string, (log: Logger) => void> = {
  'a message': log => log.info('printed'),
  'a message with values': log => log.info('printed %s of %d', 'a', 2),
  'fields and a message': log => log.debug({ id: 'a', n: 1 }, 'printed %s', 'a'),
  'fields alone': log => log.info({ id: 'a' }),
  'an error': log => log.error(error),
  'an error and a message': log => log.warn(error, 'not printed'),
  'an error among fields': log => log.error({ err: error, id: 'a' }),
  'fields of children': log => log.child({ a: 1, b: 1 }).child({ b: 2 }).info({ c: 3 }, 'printed')
}

for (const [what, call] of Object.entries(calls)) {
  t.test(`records ${what} as pino would write it`, async t => {
    const records: LogRecord[] = []
    call(recordingLogger(records))
    const { logs, logger: { level, stream } } = createLog()
    call(pino({ level, base: null, timestamp: false, formatters: { level: label => ({ level: label }) } }, stream))
    const { err, msg, ...rest } = records[0]!
    const { err: written, msg: writtenMessage = '', ...writtenRest } = logs[0]!
    t.strictSame({ msg, ...rest }, { msg: writtenMessage, ...writtenRest } as unknown)
    t.equal(err, written === undefined ? undefined : error, 'the error itself')
  })
}

t.test('records values that are no fields', async t => {
  const records: LogRecord[] = []
  const log = recordingLogger(records)
  log.info(null, 'nothing')
  log.info(undefined as unknown as string)
  t.strictSame(records, [{ level: 'info', msg: 'nothing' }, { level: 'info', msg: '' }])
})
