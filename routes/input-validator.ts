import AjvCompiler from '@fastify/ajv-compiler'
import { Kind } from '@sinclair/typebox'
import type { TSchema } from '@sinclair/typebox'
import type { FastifySchemaCompiler } from 'fastify'
import type { ErrorObject, ValidateFunction } from 'ajv'
import { describeErrors } from '../lib/schema-check.js'
import { compileTextReader, protocolParameters } from './query-input.js'

// Fastify's own options take "5" for an integer, [1, null] for strings and drop unknown keys. A client that sends those has a bug.
// `1e400` is JSON, and Infinity once it is parsed: an integer unless numbers are strict, too.
const strict = { coerceTypes: false, removeAdditional: false, useDefaults: true, allErrors: false, strict: false, strictNumbers: true } as const

/**
 * An input's schema as clients must follow it: a top-level `Type.Object` that does not speak of additional properties is
 * closed. Only that one: closing the members of an intersection would refuse everything.
 */
export function closed<S extends TSchema> (schema: S): S {
  return schema[Kind] === 'Object' && !('additionalProperties' in schema) ? { ...schema, additionalProperties: false } : schema
}

/** The `validatorCompiler` of a command route. Texts of query strings, path parameters and headers are read by their schemas first. */
export const validatorCompiler: FastifySchemaCompiler<any> = ({ schema, httpPart }) => {
  const validate = compile(schema)
  if (httpPart === 'body') return validate
  const readTexts = compileTextReader(schema, httpPart === 'querystring' ? protocolParameters : undefined)
  return (texts: unknown) => {
    const value = readTexts(texts)
    return validate(value) ? { value } : { error: validationError(validate.errors!, String(httpPart)) }
  }
}

/** Compiles a check of an input that no part of the request held as it is. It throws what Fastify's own validation would. */
export function compileInputCheck (schema: TSchema): (input: unknown) => void {
  const validate = compile(closed(schema))
  return function checkInput (input) {
    if (!validate(input)) throw validationError(validate.errors!, 'input')
  }
}

const tooDeep: ErrorObject[] = [{ keyword: 'depth', instancePath: '', schemaPath: '#', params: {}, message: 'is nested too deeply' }]

/** What validation throws for an input that overflows the stack, for what else has to go through one. */
export function tooDeepError (): Error {
  return validationError(tooDeep, 'input')
}

// A schema that refers to itself is checked by recursion, and a client decides how deep that goes.
function shallow (validate: ValidateFunction): ValidateFunction {
  const check = ((value, context) => {
    try {
      const valid = validate(value, context)
      check.errors = validate.errors ?? null
      return valid
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      check.errors = tooDeep
      return false
    }
  }) as ValidateFunction
  // By `schemaEnv` Fastify knows a validator that takes a context.
  return Object.assign(check, { schema: validate.schema, schemaEnv: validate.schemaEnv })
}

function compile (schema: TSchema): ValidateFunction {
  // A compiler of its own each time: one compiler gives the first schema of an `$id` to every later one. Its declaration says
  // that it takes the schema; it takes Fastify's route definition.
  return shallow(AjvCompiler()({}, { customOptions: strict })({ schema }) as ValidateFunction)
}

function validationError (errors: readonly ErrorObject[], validationContext: string): Error {
  return Object.assign(new Error(`${validationContext} ${describeErrors(errors)}`), {
    statusCode: 400, code: 'FST_ERR_VALIDATION', validation: errors, validationContext
  })
}
