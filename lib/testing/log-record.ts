import { format } from 'node:util'
import type { LogFn } from 'pino'
import type { Logger } from '../logger.js'

/** One line of the log. */
export interface LogRecord {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly msg: string
  /** What was logged as an error. */
  readonly err?: unknown
  /** The other fields of the line, and those of the loggers that it went through: `streamId`, `command`, `event`. */
  readonly [field: string]: unknown
}

/** A logger that keeps what is logged, errors as they are. It reads its arguments as pino does. */
export function recordingLogger (records: LogRecord[], bindings: Record<string, unknown> = {}): Logger {
  const logAt = (level: LogRecord['level']): LogFn => (first: unknown, ...rest: unknown[]) => {
    const fields = fieldsOf(first)
    const [msg, ...args] = fields === undefined ? [first, ...rest] : rest
    records.push({ ...bindings, ...fields, level, msg: msg === undefined ? messageOf(fields?.err) : format(msg, ...args) })
  }
  return {
    debug: logAt('debug'),
    info: logAt('info'),
    warn: logAt('warn'),
    error: logAt('error'),
    child: more => recordingLogger(records, { ...bindings, ...more })
  }
}

function fieldsOf (first: unknown): { readonly err?: unknown } | undefined {
  if (first instanceof Error) return { err: first }
  return typeof first === 'object' ? { ...first } : undefined
}

function messageOf (err: unknown): string {
  return err instanceof Error ? err.message : ''
}
