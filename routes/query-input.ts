import type { TSchema } from '@sinclair/typebox'

type Schema = Readonly<Record<string, unknown>>

/** Members of a query string that belong to the protocol and never reach an input. */
export const protocolParameters: ReadonlySet<string> = new Set(['lastEventId', 'idempotencyKey'])

/**
 * Says why a schema cannot be read from a query string, or nothing where it can: an object whose members are scalars or
 * lists of scalars, none of them named like a parameter of the protocol.
 */
export function whyNotFlat (schema: TSchema): string | undefined {
  const members = membersOf(schema)
  if (members === undefined) return 'must be an object without references or patterns'
  for (const [name, variants] of members) {
    if (protocolParameters.has(name)) return `cannot have a member ${name}: that parameter belongs to the protocol`
    if (!variants.every(variant => isScalar(variant) || isScalarList(variant))) return `has the member ${name}, which is neither a scalar nor a list of scalars`
  }
  return undefined
}

/**
 * Makes a function that reads the texts of a query string, of path parameters or of headers as their schema says: decimal numbers that
 * JavaScript holds exactly, `true` and `false`, one value where a list is wanted. What is anything else stays a text, for validation
 * to refuse. The named parameters are left out.
 */
export function compileTextReader (schema: TSchema, without: ReadonlySet<string> = new Set()): (given: unknown) => Record<string, unknown> {
  const readers = new Map([...membersOf(schema) ?? []].map(([name, schemas]) => [name, memberReader(schemas)]))
  return function readTexts (given) {
    const members: Record<string, unknown> = {}
    for (const [name, text] of Object.entries(given ?? {})) {
      if (without.has(name)) continue
      const read = readers.get(name)
      const value = read === undefined ? text : read(text)
      // A parameter of this name is one more unknown key: an assignment would make it the prototype.
      if (name === '__proto__') Object.defineProperty(members, name, { value, enumerable: true, configurable: true, writable: true })
      else members[name] = value
    }
    return members
  }
}

// Members of unions and intersections count as variants of one member.
function membersOf (schema: Schema): Map<string, readonly Schema[]> | undefined {
  const parts = [schema['allOf'], schema['anyOf'], schema['oneOf']].find(Array.isArray) as Schema[] | undefined
  if (parts !== undefined) {
    const merged = new Map<string, readonly Schema[]>()
    for (const part of parts) {
      const members = membersOf(part)
      if (members === undefined) return undefined
      for (const [name, variants] of members) merged.set(name, [...merged.get(name) ?? [], ...variants])
    }
    return merged
  }
  if (schema['type'] !== 'object' || 'patternProperties' in schema) return undefined
  return new Map(Object.entries(schema['properties'] ?? {}).map(([name, member]) => [name, [member as Schema]]))
}

// A union is its variants; anything else is its own only one.
function variantsOf (schema: Schema): readonly Schema[] {
  const union = schema['anyOf'] ?? schema['oneOf']
  return Array.isArray(union) ? union.flatMap(variantsOf) : [schema]
}

function isScalar (schema: Schema): boolean {
  return variantsOf(schema).every(variant => !['object', 'array'].includes(String(variant['type'])) && !('$ref' in variant) && !('allOf' in variant))
}

function isScalarList (schema: Schema): boolean {
  return variantsOf(schema).every(variant => variant['type'] === 'array' ? isScalar(variant['items'] as Schema ?? {}) : isScalar(variant))
}

function memberReader (schemas: readonly Schema[]): (value: unknown) => unknown {
  const variants = schemas.flatMap(variantsOf)
  const list = variants.find(variant => variant['type'] === 'array')
  if (list === undefined) return scalarReader(variants)
  const readItem = scalarReader(variantsOf(list['items'] as Schema ?? {}))
  return value => (Array.isArray(value) ? value : [value]).map(readItem)
}

// Most members are one plain type: nothing is to be looked up for them when a request comes.
function scalarReader (variants: readonly Schema[]): (value: unknown) => unknown {
  const [only, ...others] = variants
  const read = others.length > 0 || only === undefined || 'const' in only || 'enum' in only ? undefined : plainReaders.get(only['type'])
  return read === undefined ? value => readScalar(variants, value) : value => typeof value === 'string' ? read(value) : value
}

function readScalar (variants: readonly Schema[], text: unknown): unknown {
  if (typeof text !== 'string' || variants.some(variant => takesText(variant, text))) return text
  for (const variant of variants) {
    const value = readAs(variant, text)
    if (value !== text) return value
  }
  return text
}

function takesText (schema: Schema, text: string): boolean {
  if ('const' in schema) return schema['const'] === text
  if (Array.isArray(schema['enum'])) return schema['enum'].includes(text)
  return schema['type'] === 'string'
}

function readAs (schema: Schema, text: string): unknown {
  const constants = 'const' in schema ? [schema['const']] : schema['enum']
  if (Array.isArray(constants)) return constants.find(constant => typeof constant !== 'string' && String(constant) === text) ?? text
  return plainReaders.get(schema['type'])?.(text) ?? text
}

const plainReaders = new Map<unknown, (text: string) => unknown>([
  ['boolean', text => text === 'true' ? true : text === 'false' ? false : text],
  ['integer', readNumber],
  ['number', readNumber],
  ['string', text => text]
])

function readNumber (text: string): unknown {
  if (!/^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/.test(text)) return text
  const number = Number(text)
  return Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : text
}
