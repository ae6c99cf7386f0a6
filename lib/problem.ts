import { STATUS_CODES } from 'node:http'
import type { ErrorObject } from 'ajv'
import { CancelledError, ShuttingDownError, StreamAbortedError } from './errors.js'
import { fieldErrors } from './schema-check.js'
import type { FieldError } from './schema-check.js'

/** What a client is told about an error: the members of RFC 9457, a code, and whether to try again. */
export interface Problem {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: number
  /** The error's message; only below 500. */
  readonly detail?: string
  /** The id under which the log has the error. */
  readonly instance?: string
  readonly code: string
  readonly retryable: boolean
  /** What validation refused. */
  readonly errors?: readonly FieldError[]
}

/**
 * Describes any thrown value to a client. Only `statusCode` decides the status, because HTTP clients set `status` on errors
 * that quote an upstream's answer. A 5xx tells nothing of the error.
 */
export function problemOf (thrown: unknown, instance?: string): Problem {
  const error = attempt(() => thrown instanceof StreamAbortedError ? wireErrorOf(thrown) : undefined) ?? thrown
  const statusCode = read(error, 'statusCode')
  const status = typeof statusCode === 'number' && statusCode in STATUS_CODES && statusCode >= 400 ? statusCode : 500
  const title = STATUS_CODES[status]!
  const message = read(error, 'message')
  const validation = read(error, 'validation')
  // Other validators have entries of other shapes.
  const errors = status < 500 ? attempt(() => Array.isArray(validation) ? fieldErrors(validation as ErrorObject[]) : undefined) : undefined
  return {
    type: 'about:blank',
    title,
    status,
    ...(status < 500 && typeof message === 'string' && message !== '' && read(error, 'expose') !== false && { detail: message }),
    ...(instance !== undefined && { instance }),
    code: codeOf(error, status, title),
    retryable: status === 429 || status === 503,
    ...(errors !== undefined && { errors })
  }
}

// `stream.abort` has one error for its caller; the wire has one code for each reason.
function wireErrorOf ({ reason }: StreamAbortedError): Error {
  return reason === 'shutdown' ? new ShuttingDownError() : new CancelledError()
}

function codeOf (error: unknown, status: number, title: string): string {
  const code = read(error, 'code')
  if (typeof code === 'string' && (status < 500 || /^(?:MEDIATOR|FST)_ERR_/.test(code))) return code
  return title.toUpperCase().replaceAll(/[^A-Z]+/g, '_')
}

// Anything can be thrown: a string, null, an object whose getters throw.
function read (error: unknown, key: string): unknown {
  return attempt(() => (error as Record<string, unknown> | null | undefined)?.[key])
}

function attempt<T> (get: () => T): T | undefined {
  try {
    return get()
  } catch {
    return undefined
  }
}
