import type { Handler } from '../../index.js'
import type { Database } from '../database/database.js'
import type { ExportPeople } from './contracts.js'
import type { ExportFiles } from './export-files.js'
import { textOf } from './formats.js'
import { findPeople, peoplePages } from './people-pages.js'

/** Writes the file page by page. One that is cancelled is removed. */
export function exportPeopleTo (files: ExportFiles, database: Database): Handler<typeof ExportPeople> {
  return async function * exportPeople ({ format }, { signal }) {
    const startedAt = performance.now()
    const file = await files.begin(format)
    try {
      const range = await findPeople(database)
      let rows = 0
      let bytes = 0
      for await (const page of textOf(format, peoplePages(database, range))) {
        signal.throwIfAborted()
        bytes += await file.write(page.text)
        rows += page.rows
        yield { rows, bytes, totalRows: range.rows }
      }
      await file.finish()
      return { url: `/export/files/${file.name}`, rows, bytes, durationMs: performance.now() - startedAt }
    } finally {
      await file.end()
    }
  }
}
