import type { Static, TObject } from '@sinclair/typebox'
import { InvalidOptionsError } from './errors.js'
import { compileCheck, describeErrors } from './schema-check.js'

// Compiling takes some 5 ms, and an app may have hundreds of handlers.
const checks = new WeakMap<TObject, ReturnType<typeof compileCheck>>()

/** Checks options against their schema and fills in its defaults in a copy. Unknown keys and wrong values are refused. */
export function parseOptions<S extends TObject> (subject: string, schema: S, given: object): Static<S> {
  const check = checks.get(schema) ?? compileOptions(schema)
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  if (!check(options)) throw new InvalidOptionsError(subject, describeErrors(check.errors!))
  return options as Static<S>
}

function compileOptions (schema: TObject): ReturnType<typeof compileCheck> {
  // `Infinity` is a fine value for a limit, so numbers are not held to what JSON can write.
  const check = compileCheck({ ...schema, additionalProperties: false }, { useDefaults: true, strictNumbers: false })
  checks.set(schema, check)
  return check
}
