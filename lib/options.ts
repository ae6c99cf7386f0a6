import type { Static, TObject } from '@sinclair/typebox'
import { InvalidOptionsError } from './errors.js'
import { compileCheck, describeErrors } from './schema-check.js'

/** Checks options against their schema and fills in its defaults in a copy. Unknown keys and wrong values are refused. */
export function parseOptions<S extends TObject> (subject: string, schema: S, given: object): Static<S> {
  // `Infinity` is a fine value for a limit, so numbers are not held to what JSON can write.
  const check = compileCheck({ ...schema, additionalProperties: false }, { useDefaults: true, strictNumbers: false })
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  if (!check(options)) throw new InvalidOptionsError(subject, describeErrors(check.errors!))
  return options as Static<S>
}
