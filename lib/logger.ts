import { pino } from 'pino'
import type { BaseLogger } from 'pino'

/** What the project asks of a logger: pino's levels and `child`. Fastify's and pino's loggers are ones. */
export interface Logger extends Pick<BaseLogger, 'debug' | 'info' | 'warn' | 'error'> {
  child (bindings: Record<string, unknown>): Logger
}

/** The logger of a mediator that was given none: pino at `warn`, written to stderr so that stdout stays the program's. */
export function createDefaultLogger (): Logger {
  return pino({ level: 'warn' }, pino.destination({ dest: 2, sync: true }))
}

/** Logs what was thrown, whatever it is: a logger reads an error's members, and some throw when they are read. */
export function logThrown (log: Logger, level: 'debug' | 'info' | 'warn' | 'error', thrown: unknown, fields: Record<string, unknown>, message: string): void {
  try {
    // What JSON leaves out would be missing in the line.
    const err = thrown === undefined || typeof thrown === 'symbol' || typeof thrown === 'function' ? String(thrown) : thrown
    log[level]({ ...fields, err }, message)
  } catch {
    log[level]({ ...fields, err: new Error('an error whose members cannot be read') }, message)
  }
}
