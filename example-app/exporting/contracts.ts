import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'
import { defineCommand } from '../../index.js'

const Count = Type.Integer({ minimum: 0 })

export const FormatSchema = Type.Union([Type.Literal('csv'), Type.Literal('ndjson')], { default: 'csv' })
export type Format = Static<typeof FormatSchema>

/** Writes all people into a file; one progress a page. */
export const ExportPeople = defineCommand({
  name: 'export-people',
  input: Type.Object({ format: FormatSchema }, { additionalProperties: false }),
  progress: Type.Object({ rows: Count, bytes: Count, totalRows: Count }),
  result: Type.Object({ url: Type.String(), rows: Count, bytes: Count, durationMs: Type.Number() })
})

/** Makes people, so that there is something to export. */
export const FillPeople = defineCommand({
  name: 'fill-people',
  input: Type.Object({ rows: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 1_000_000 }) }, { additionalProperties: false }),
  progress: Type.Object({ rows: Count, totalRows: Count }),
  result: Type.Object({ rows: Count, durationMs: Type.Number() })
})
