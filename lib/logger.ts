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
