import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { PersonSchema, columns } from './contracts.js'
import type { Person, Rejected } from './contracts.js'

const ajv = new Ajv()
// Its types are those of CommonJS.
formats.default(ajv)
const isPerson = ajv.compile<Person>(PersonSchema)

const shownCharacters = 60
// In place of bytes that are no UTF-8. Where a file has this very character, an earlier program has lost something in the same way.
const replacement = '\uFFFD'

/** What a row lacks to be a person, or undefined. */
export function whyNoPerson (row: Record<keyof Person, string>): Omit<Rejected, 'line'> | undefined {
  for (const column of columns) {
    if (row[column].includes(replacement)) return { column, value: shown(row[column]), reason: 'must be UTF-8 text' }
  }
  if (isPerson(row)) return undefined
  const column = isPerson.errors![0]!.instancePath.slice(1) as keyof Person
  return { column, value: shown(row[column]), reason: `must be ${PersonSchema.properties[column].description}` }
}

function shown (value: string): string {
  const characters = Array.from(value.slice(0, 2 * shownCharacters + 2))
  return characters.length > shownCharacters ? `${characters.slice(0, shownCharacters).join('')}…` : value
}
