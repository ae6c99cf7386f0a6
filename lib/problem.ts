import { STATUS_CODES } from 'node:http'
import type { ErrorObject } from 'ajv'
import { AbandonedError, CancelledError, DeadlineError, ShuttingDownError } from './errors.js'
import type { StreamAbortedError } from './errors.js'
import { describeFields, fieldErrors } from './schema-check.js'
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

// What was a problem before, with all of its members.
const problems = new WeakMap<object, Problem>()

/**
 * Describes any thrown value to a client. Only `statusCode` decides the status, because HTTP clients set `status` on errors
 * that quote an upstream's answer. A 5xx tells nothing of the error.
 */
export function problemOf (error: unknown, instance?: string): Problem {
  const known = problems.get(error as object)
  if (known !== undefined) return { ...known, ...(instance !== undefined && { instance }) }
  const statusCode = read(error, 'statusCode')
  const status = typeof statusCode === 'number' && statusCode in STATUS_CODES && statusCode >= 400 ? statusCode : 500
  const title = STATUS_CODES[status]!
  const validation = read(error, 'validation')
  // Other validators have entries of other shapes.
  const exposed = status < 500 && read(error, 'expose') !== false
  const errors = exposed ? attempt(() => Array.isArray(validation) && validation.length > 0 ? fieldErrors(validation as ErrorObject[]) : undefined) : undefined
  const detail = exposed ? detailOf(error, errors) : undefined
  return {
    type: 'about:blank',
    title,
    status,
    ...(detail !== undefined && { detail }),
    ...(instance !== undefined && { instance }),
    code: codeOf(error, status, title),
    retryable: status === 429 || status === 503,
    ...(errors !== undefined && { errors })
  }
}

/** An error that is the same problem again, for who repeats a request whose stream has failed. */
export function errorOf (problem: Problem): Error {
  const { title, status, detail, code } = problem
  const error = Object.assign(new Error(detail ?? title), { statusCode: status, code, expose: detail !== undefined })
  problems.set(error, problem)
  return error
}

/** The same in at most some hundred bytes. */
export function shortProblem ({ type, title, status, instance, code, retryable }: Problem): Problem {
  // An escaped character would take six bytes.
  const shortCode = code.slice(0, 128).replaceAll(/[^ -~]/g, '?')
  return { type, title, status, ...(instance !== undefined && { instance }), code: shortCode, retryable }
}

/**
 * What the reader of a stream is told of its abort: the caller has one error for all reasons, the wire a code for each. Only
 * for the stream's own: the abort of another, which a handler may pass on, is a failure like any other.
 */
function wireErrorOf ({ reason }: StreamAbortedError): Error {
  if (reason === 'shutdown') return new ShuttingDownError()
  if (reason === 'deadline') return new DeadlineError()
  return reason === 'abandoned' ? new AbandonedError() : new CancelledError()
}

/**
 * The error that the reader of a stream is told where iteration rejects with the given one: a value that could not be written ended the
 * stream, and is told itself.
 */
export function toldError ({ abortError }: { readonly abortError: StreamAbortedError | undefined }, error: unknown): unknown {
  if (abortError === undefined || error !== abortError) return error
  return abortError.reason === 'failed' ? abortError.cause : wireErrorOf(abortError)
}

// Validators word their messages each in their own way, and not all name the field.
function detailOf (error: unknown, errors: readonly FieldError[] | undefined): string | undefined {
  const message = errors === undefined ? read(error, 'message') : describeFields(errors)
  return typeof message === 'string' && message !== '' ? message : undefined
}

function codeOf (error: unknown, status: number, title: string): string {
  const code = read(error, 'code')
  if (typeof code === 'string' && (status < 500 || /^(?:MEDIATOR|FST)_ERR_[A-Z0-9_]+$/.test(code))) return code
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
