import { Kind } from '@sinclair/typebox'
import type { TSchema } from '@sinclair/typebox'
import type { Ajv, AnySchemaObject } from 'ajv'
import fastJsonStringify from 'fast-json-stringify'
import { compileCheck, describeErrors } from './schema-check.js'

/** Turns a value into one JSON text, in one line; throws a plain `Error` that says what is wrong with the value. */
export type Serialize = (value: unknown) => string

/**
 * Compiles a schema to a serializer that checks first. fast-json-stringify alone would coerce: `'12'` becomes `12`, `null`
 * an empty object. Keys that the schema does not name are left out. `safeIntegers` refuses bigints that whoever parses the text
 * would round. Throws when the schema cannot be compiled.
 */
export function compileSerializer (schema: TSchema, { safeIntegers = false }: { readonly safeIntegers?: boolean } = {}): Serialize {
  // Compiled first, because it also refuses what no JSON schema has: `Type.Date()`, `Type.BigInt()`, `Type.Undefined()`.
  const stringify = fastJsonStringify(escaped(schema) as object)
  const check = compileCheck(outputSchema(schema), { validateSchema: false, meta: false }, ajv => addOutputKeywords(ajv, safeIntegers))
  const mayBreakLines = holdsDate(schema)
  return function serialize (value) {
    let text: string | undefined
    try {
      if (check(value)) text = stringify(value)
    } catch (error) {
      throw asError(error)
    }
    if (text === undefined) throw new Error(describeErrors(check.errors!))
    // A line break would begin a field of a frame, of the value's making. JSON has none, but a Date's own methods write their text themselves.
    if (mayBreakLines && /[\r\n]/.test(text)) throw new Error('its JSON text holds a line break')
    return text
  }
}

// Asked of the schema and not of each text: a search makes V8 copy what it is in, which is a tenth of the work for a short frame.
function holdsDate (schema: unknown): boolean {
  if (schema === null || typeof schema !== 'object') return false
  return isDateFormat((schema as AnySchemaObject)['format']) || Object.values(schema).some(holdsDate)
}

function isDateFormat (format: unknown): boolean {
  return ['date-time', 'date', 'time'].includes(format as string)
}

// A getter or a `toJSON` can throw anything, also what cannot be looked at.
function asError (thrown: unknown): Error {
  try {
    return thrown instanceof Error && typeof thrown.message === 'string' ? thrown : new Error(String(thrown), { cause: thrown })
  } catch {
    return new Error('it cannot be read')
  }
}

// With `format: 'unsafe'` fast-json-stringify writes a text between its quotes as it stands: a quote in it would end the text and
// begin members of whoever wrote it, in a line of NDJSON even those of the frame. So every text is escaped.
function escaped (schema: unknown): unknown {
  if (schema === null || typeof schema !== 'object') return schema
  if (Array.isArray(schema)) return schema.map(escaped)
  const { format, type } = schema as AnySchemaObject
  return Object.fromEntries(Object.entries(schema)
    .filter(([keyword]) => keyword !== 'format' || format !== 'unsafe' || type === undefined)
    .map(([keyword, value]) => [keyword, escaped(value)]))
}

/**
 * The schema that a value must match before it is serialized. It differs from the one for input in two places: an unsafe
 * schema takes the JavaScript value that the serializer writes for it (a Date, a bigint), and a schema that allows
 * everything still refuses what JSON has no text for.
 */
function outputSchema (schema: TSchema): AnySchemaObject {
  const copy = mapSchemas(schema)
  if (schema[Kind] !== 'Unsafe') return isOpen(copy) ? { ...copy, serializable: true } : copy
  if (schema['type'] === 'string' && isDateFormat(schema['format'])) return { anyOf: [{ validDate: true }, copy] }
  if (schema['type'] === 'integer') return { allOf: [{ fitsNumber: true }, { anyOf: [copy, { bigint: true }] }] }
  return isOpen(copy) ? { ...copy, serializable: true } : copy
}

/** Copies a schema with each TypeBox schema inside it replaced; everything else (values, plain keywords) stays as it is. */
function mapSchemas (schema: object): AnySchemaObject {
  return Object.fromEntries(Object.entries(schema).map(([keyword, value]) => [keyword, mapValue(value)]))
}

function mapValue (value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map(mapValue)
  return Kind in value ? outputSchema(value as TSchema) : mapSchemas(value)
}

function isOpen (schema: AnySchemaObject): boolean {
  return !['type', 'const', 'enum', 'anyOf', 'oneOf', 'allOf', '$ref'].some(keyword => keyword in schema)
}

function addOutputKeywords (ajv: Ajv, safeIntegers: boolean): void {
  ajv.addKeyword({ keyword: 'validDate', validate: (_: true, value: unknown) => value instanceof Date && !Number.isNaN(value.getTime()) })
  ajv.addKeyword({ keyword: 'bigint', validate: (_: true, value: unknown) => typeof value === 'bigint' })
  ajv.addKeyword({ keyword: 'fitsNumber', validate: (_: true, value: unknown) => !safeIntegers || typeof value !== 'bigint' || Number.isSafeInteger(Number(value)) })
  ajv.addKeyword({
    keyword: 'serializable',
    validate: (_: true, value: unknown) => hasText(value)
  })
}

// What JSON.stringify gives a text for. An object says so itself, by `toJSON`.
function hasText (value: unknown): boolean {
  if (value === null || typeof value !== 'object') return !['undefined', 'function', 'symbol', 'bigint'].includes(typeof value)
  return !('toJSON' in value) || typeof value.toJSON !== 'function' || hasText(value.toJSON(''))
}
