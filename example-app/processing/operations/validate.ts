import { extname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CsvError, parse } from 'csv-parse'
import verifier from 'stream-json/utils/verifier.js'
import type { Figures } from '../contracts.js'
import { ContentError } from './content-error.js'
import { decodeUtf8 } from './decode-utf8.js'

// A quote that is never closed would make one record of the rest of the file.
const maxCsvRecordLength = 1_048_576

/** Whether the file is what its name says: JSON, CSV with the same number of fields in each row, else any UTF-8. */
export async function validate (chunks: AsyncIterable<Buffer>, fileId: string): Promise<Figures> {
  const format = formatOf(fileId)
  try {
    await checks[format](decodeUtf8(chunks))
    return { format, valid: true }
  } catch (error) {
    // Any other error (the client has left, the disk has failed) says nothing about the file.
    if (!(error instanceof ContentError)) throw error
    return { format, valid: false, error: { message: error.message, ...error.place } }
  }
}

function formatOf (fileId: string): 'json' | 'csv' | 'utf-8' {
  switch (extname(fileId).toLowerCase()) {
    case '.json': return 'json'
    case '.csv': return 'csv'
    default: return 'utf-8'
  }
}

const checks = {
  'utf-8': drain,

  async json (text: AsyncIterable<string>): Promise<void> {
    await pipeline(text, verifier.asStream(), drain).catch((error: Error & { line?: number, pos?: number }) => {
      const { message, line, pos } = error
      if (line === undefined || pos === undefined) throw error
      throw new ContentError(message.replace(/^ERROR at .*?: Verifier (?:cannot parse input: |has )/, ''), { line, column: pos })
    })
  },

  async csv (text: AsyncIterable<string>): Promise<void> {
    let fields: number | undefined
    const parser = parse({
      max_record_size: maxCsvRecordLength,
      // The parser would count them too, but does not tell the first field that is missing or too much.
      relax_column_count: true,
      on_record (row: string[], { lines }) {
        fields ??= row.length
        if (row.length === fields) return null
        throw new ContentError(`the first row has ${fields} fields, this one ${row.length}`, { line: lines, column: Math.min(fields, row.length) + 1 })
      }
    })
    await pipeline(text, parser, drain).catch((error: Error & { lines?: number, column?: number }) => {
      const { message, lines, column } = error
      if (!(error instanceof CsvError) || lines === undefined || column === undefined) throw error
      throw new ContentError(message, { line: lines, column: column + 1 })
    })
  }
}

async function drain (items: AsyncIterable<unknown>): Promise<void> {
  const iterator = items[Symbol.asyncIterator]()
  while (!(await iterator.next()).done);
}
