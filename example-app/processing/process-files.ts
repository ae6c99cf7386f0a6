import { setTimeout } from 'node:timers/promises'
import type { Handler, ResultOf } from '../../index.js'
import { FileClosed, FileOpened, FileProcessed, ProcessFiles } from './contracts.js'
import type { Figures, Operation } from './contracts.js'
import type { FileFolder, OpenFile } from './file-folder.js'
import { analyze } from './operations/analyze.js'
import { compress, ratioOf } from './operations/compress.js'
import { validate } from './operations/validate.js'

type Totals = ResultOf<typeof ProcessFiles>

const operations: Record<Operation, (chunks: AsyncIterable<Buffer>, fileId: string) => Promise<Figures>> = { analyze, compress, validate }

// Smaller files are done before anybody could look at a percentage.
const bigFileBytes = 1_048_576
const reportEveryMs = 100

/** Processes one file after the other; one progress when a file is done, and some before that where it is big. */
export function processFilesIn (folder: FileFolder): Handler<typeof ProcessFiles> {
  return async function * processFiles ({ fileIds, operation }, { emit, signal }) {
    let totals = noTotals(operation)
    for (const fileId of fileIds) {
      const startedAt = performance.now()
      const file = await folder.open(fileId)
      const { sizeBytes } = file
      try {
        emit(FileOpened, { fileId, sizeBytes, operation })
        // The signal ends the reading, wherever it is, when the client has left.
        const work = operations[operation](file.read(signal), fileId)
        for await (const percent of percentages(file, work)) {
          yield { fileId, status: 'processing', percent, sizeBytes }
        }
        const figures = await work
        totals = add(totals, sizeBytes, figures)
        emit(FileProcessed, { fileId, sizeBytes, operation, durationMs: performance.now() - startedAt })
        yield { fileId, status: 'completed', percent: 100, sizeBytes, ...figures }
      } finally {
        // Runs in any case: after the last byte, after an error, and when the client has left in the middle.
        await file.close()
        emit(FileClosed, { fileId, sizeBytes, bytesRead: file.bytesRead, operation })
      }
    }
    return totals
  }
}

async function * percentages (file: OpenFile, work: Promise<unknown>): AsyncGenerator<number, void, undefined> {
  const done = work.then(() => true, () => true)
  if (file.sizeBytes < bigFileBytes) return
  while (!(await Promise.race([done, setTimeout(reportEveryMs, false)]))) {
    // 100 is what a completed file has.
    yield Math.min(99, Math.floor(file.bytesRead / file.sizeBytes * 100))
  }
}

function noTotals (operation: Operation): Totals {
  const own = { analyze: { lines: 0, words: 0 }, compress: { gzipBytes: 0 }, validate: { valid: 0, invalid: 0 } }
  return { operation, processed: 0, sizeBytes: 0, ...own[operation] }
}

function add (totals: Totals, sizeBytes: number, { lines = 0, words = 0, gzipBytes = 0, valid = false }: Figures): Totals {
  const sum = { ...totals, processed: totals.processed + 1, sizeBytes: totals.sizeBytes + sizeBytes }
  if (sum.lines !== undefined) sum.lines += lines
  if (sum.words !== undefined) sum.words += words
  if (sum.valid !== undefined && valid) sum.valid++
  if (sum.invalid !== undefined && !valid) sum.invalid++
  if (sum.gzipBytes === undefined) return sum
  sum.gzipBytes += gzipBytes
  return { ...sum, ...ratioOf(sum.gzipBytes, sum.sizeBytes) }
}
