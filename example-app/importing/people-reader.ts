import { pipeline } from 'node:stream/promises'
import { parse } from 'csv-parse'
import type { CsvError, Info } from 'csv-parse'
import { whyNoPerson } from './check-person.js'
import { columns } from './contracts.js'
import type { Person, Rejected } from './contracts.js'
import { MissingColumnError, RepeatedColumnError, RowTooLongError } from './errors.js'

// The parser collects a row whole, and a quote that is never closed would make one row of the rest of the file.
const maxRowBytes = 65_536

/** One row of the CSV, and how many bytes were read with it. */
export interface PeopleRow {
  readonly bytes: number
  readonly person?: Person
  readonly rejected?: Rejected
}

type Parsed = { readonly record: string[], readonly info: Info } | { readonly error: CsvError }

/**
 * Reads the header and resolves the rows, which are read as they are asked for.
 * @throws what is wrong with the header; while rows are read, EXAMPLE_ERR_ROW_TOO_LONG and what the source throws
 */
export async function openPeople (source: AsyncIterable<Buffer>, signal: AbortSignal): Promise<AsyncGenerator<PeopleRow, void, undefined>> {
  const parser = parse({
    bom: true,
    info: true,
    record_delimiter: ['\r\n', '\n'],
    skip_empty_lines: true,
    max_record_size: maxRowBytes,
    // Rows with too few or too many values are told like the others that are wrong.
    relax_column_count: true,
    // A quote that does not begin a value, or text behind a closing one, is part of the value. As an error it would swallow the rows behind it.
    relax_quotes: true,
    skip_records_with_error: true,
    on_skip (error) {
      // It goes on collecting, and would tell each further byte.
      if (error?.code === 'CSV_MAX_RECORD_SIZE') throw new RowTooLongError(maxRowBytes, Number(error['lines']))
      // In its place among the rows.
      parser.push({ error })
      return undefined
    }
  })
  // What fails ends the parser, which throws it to its reader; a reader who leaves ends the source.
  pipeline(source, parser, { signal }).catch(() => {})
  const rows = parser[Symbol.asyncIterator]() as AsyncIterator<Parsed>
  try {
    const { value: first } = await rows.next() as { value: Parsed | undefined }
    const header = first === undefined || 'error' in first ? [] : first.record
    const people = readRows({ [Symbol.asyncIterator]: () => rows }, header.length, placesOf(header))
    const end = people.return.bind(people)
    // A generator that was never asked for a row runs no `finally`, and its source would stay open.
    people.return = async () => {
      parser.destroy()
      return await end()
    }
    return people
  } catch (error) {
    parser.destroy()
    throw error
  }
}

function placesOf (header: readonly string[]): ReadonlyArray<readonly [keyof Person, number]> {
  const missing = columns.filter(column => !header.includes(column))
  if (missing.length > 0) throw new MissingColumnError(missing.join(', '), columns.join(', '))
  return columns.map(column => {
    const place = header.indexOf(column)
    if (header.includes(column, place + 1)) throw new RepeatedColumnError(column)
    return [column, place]
  })
}

async function * readRows (
  rows: AsyncIterable<Parsed>, width: number, places: ReadonlyArray<readonly [keyof Person, number]>
): AsyncGenerator<PeopleRow, void, undefined> {
  for await (const parsed of rows) {
    if ('error' in parsed) {
      const { lines, bytes } = parsed.error as CsvError & { lines: number, bytes: number }
      yield { bytes, rejected: { line: lines, reason: 'has a quote that is never closed, in this line or one before it' } }
      continue
    }
    const { record, info: { lines, bytes } } = parsed
    if (record.length !== width) {
      yield { bytes, rejected: { line: firstLine(record, lines), reason: `has ${record.length} of ${width} values` } }
      continue
    }
    const person = Object.fromEntries(places.map(([column, place]) => [column, record[place]!])) as Person
    const reason = whyNoPerson(person)
    yield reason === undefined ? { bytes, person } : { bytes, rejected: { line: firstLine(record, lines), ...reason } }
  }
}

// The parser tells the last one.
function firstLine (record: readonly string[], lastLine: number): number {
  return lastLine - record.reduce((lines, value) => lines + value.split('\n').length - 1, 0)
}
