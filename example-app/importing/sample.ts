import { setImmediate } from 'node:timers/promises'
import { columns } from './contracts.js'

// Five of a hundred rows, for as many reasons, and one of a hundred that repeats the e-mail address of the row before it.
const flaws: Readonly<Record<number, (values: string[]) => string[]>> = {
  17: ([, ...rest]) => ['nobody at example.com', ...rest],
  33: ([email, , ...rest]) => [email!, '', ...rest],
  50: ([email, name, , born]) => [email!, name!, 'Atlantis', born!],
  66: ([email, name, country]) => [email!, name!, country!, '1990-02-30'],
  83: values => values.slice(0, 3)
}
const repeated = 99

const firstNames = ['Ada', 'Grace', 'Linus', 'Margaret', 'Tim', 'Zoë', 'José', 'Bjarne']
const lastNames = ['Berg', 'Costa', 'Dubois', '"Ørsted"', 'Novák, jr.', 'Silva', 'O’Neill', 'Yılmaz']
const countries = ['NL', 'DE', 'FR', 'PT', 'DK', 'CZ', 'IE', 'TR']
const rowsAtOnce = 1_000

/** What is wrong with how many rows of a sample. */
export function sampleFlaws (rows: number): { rejected: number, duplicates: number } {
  const whole = Math.floor(rows / 100)
  const rest = rows % 100
  const flawed = Object.keys(flaws).map(Number)
  return { rejected: whole * flawed.length + flawed.filter(place => place < rest).length, duplicates: whole }
}

/** Makes a CSV of so many people, some rows of which are wrong unless `good`. */
export async function * sampleCsv (rows: number, good: boolean): AsyncGenerator<string, void, undefined> {
  yield `${columns.join(',')}\r\n`
  for (let from = 0; from < rows; from += rowsAtOnce) {
    const to = Math.min(rows, from + rowsAtOnce)
    let text = ''
    for (let row = from; row < to; row++) text += sampleRow(row, good)
    yield text
    // A reader who takes all at once must not stop everybody else.
    await setImmediate()
  }
}

function sampleRow (row: number, good: boolean): string {
  const place = row % 100
  const number = !good && place === repeated ? row - 1 : row
  const born = new Date(Date.UTC(1950, 0, 1 + row % 20_000)).toISOString().slice(0, 10)
  const values = [`person${number}@example.com`, `${at(firstNames, row)} ${at(lastNames, Math.floor(row / 8))}`, at(countries, row), born]
  return `${(good ? values : flaws[place]?.(values) ?? values).map(csvValue).join(',')}\r\n`
}

function at (list: readonly string[], index: number): string {
  return list[index % list.length]!
}

/** Quotes a value where a CSV needs that. */
export function csvValue (value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}
