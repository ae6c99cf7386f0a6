import { Ajv } from 'ajv'
import type { AnySchemaObject, ErrorObject, Options, ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'

/** A place that failed its schema: the field's dotted path (empty for the whole value) and what is wrong with it. */
export interface FieldError {
  readonly field: string
  readonly message: string
}

// A client can send a key as long as its body, and gets it back.
const maxFieldLength = 256

/**
 * Compiles a check that changes nothing, or at most fills in defaults. Each call has an Ajv of its own, because one
 * instance refuses two schemas with the same `$id`.
 */
export function compileCheck (schema: AnySchemaObject, options: Options = {}, extend?: (ajv: Ajv) => void): ValidateFunction {
  // Schemas may carry keywords of other tools and formats that Ajv does not know (fast-json-stringify's `unsafe`).
  const ajv = new Ajv({ strict: false, strictNumbers: true, logger: false, ...options })
  // The package is CommonJS: its default export is the module itself under TypeScript's NodeNext rules.
  addFormats.default(ajv)
  extend?.(ajv)
  return ajv.compile(schema)
}

/** Names each field that a check refused, once, unknown keys included. */
export function fieldErrors (errors: readonly ErrorObject[]): FieldError[] {
  const messages = new Map<string, string>()
  const constants = new Map<string, unknown[]>()
  for (const error of errors) {
    const field = fieldOf(error)
    if (error.keyword === 'const') {
      // A union of literals reports each literal: one sentence lists them all.
      const allowed = constants.get(field) ?? []
      allowed.push(error.params['allowedValue'])
      constants.set(field, allowed)
      messages.set(field, `must be one of ${allowed.map(value => JSON.stringify(value)).join(', ')}`)
    } else if (!messages.has(field)) {
      messages.set(field, messageOf(error))
    }
  }
  return Array.from(messages, ([field, message]) => ({ field, message }))
}

/** One line for a log or an error message. */
export function describeErrors (errors: readonly ErrorObject[]): string {
  return describeFields(fieldErrors(errors))
}

/** The same of fields that are named already. */
export function describeFields (errors: readonly FieldError[]): string {
  return errors.map(({ field, message }) => field === '' ? message : `${field} ${message}`).join('; ')
}

function fieldOf ({ instancePath, params }: ErrorObject): string {
  // An instance path is a JSON pointer (RFC 6901): `~1` is a slash, `~0` a tilde.
  const path = instancePath.split('/').slice(1).map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  const key = params['missingProperty'] ?? params['additionalProperty'] ?? params['unevaluatedProperty'] ?? params['propertyName']
  if (typeof key === 'string') path.push(key)
  const field = path.join('.')
  return field.length > maxFieldLength ? `${field.slice(0, maxFieldLength - 1)}…` : field
}

function messageOf ({ keyword, message, params }: ErrorObject): string {
  switch (keyword) {
    case 'required':
    case 'dependentRequired': return 'is required'
    case 'additionalProperties':
    case 'unevaluatedProperties': return 'is not allowed'
    case 'enum': return `must be one of ${params['allowedValues'].map((value: unknown) => JSON.stringify(value)).join(', ')}`
    case 'serializable': return 'cannot be written as JSON'
    case 'fitsNumber': return 'must be a safe integer: declare a larger one as a string'
    case 'validDate': return 'must be a valid Date or its text'
    default: return typeof message === 'string' ? message : `fails ${keyword}`
  }
}
