import { columns } from '../importing/contracts.js'
import type { Person } from '../importing/contracts.js'
import { csvValue } from '../importing/sample.js'
import type { Format } from './contracts.js'

interface FormatWriter {
  readonly type: string
  readonly header: string
  row (person: Person): string
}

/** How people are written. */
export const formats: Readonly<Record<Format, FormatWriter>> = {
  csv: {
    type: 'text/csv; charset=utf-8',
    header: `${columns.join(',')}\r\n`,
    row: person => `${columns.map(column => csvValue(person[column])).join(',')}\r\n`
  },
  ndjson: {
    type: 'application/x-ndjson',
    header: '',
    row: ({ email, name, country, born }) => `${JSON.stringify({ email, name, country, born })}\n`
  }
}

/** The text of a file: first its header, then one for each page, with its rows. */
export async function * textOf (
  format: Format, pages: AsyncIterable<readonly Person[]>
): AsyncGenerator<{ readonly text: string, readonly rows: number }, void, undefined> {
  const { header, row } = formats[format]
  yield { text: header, rows: 0 }
  for await (const page of pages) yield { text: page.map(row).join(''), rows: page.length }
}
