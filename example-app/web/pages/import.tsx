import { memo, useEffect, useMemo, useRef, useState } from 'react'
import { newKey } from '../new-key.js'
import { useStream } from '../../../lib/react/index.js'
import type { ImportSummary, Rejected } from '../../importing/contracts.js'
import { Bar } from '../bar.js'
import { client } from '../client.js'
import { CurlLine } from '../curl-line.js'
import { bytes, count } from '../format.js'
import { PeopleCount } from '../people-count.js'
import { putFile } from '../put-file.js'
import { useRunFocus } from '../run-focus.js'
import { StreamStatus, isRunning } from '../stream-status.js'

const sampleRows = [1_000, 10_000, 100_000]
const shownRejections = 1_000

interface Upload {
  readonly bytes: number
  readonly totalBytes: number
  readonly abort: AbortController
}

export default function Import () {
  const { start, cancel, progress, result, status, error, streamId } = useStream(client, 'import-people', { resume: 'import' })
  const [rows, setRows] = useState<number | undefined>(10_000)
  const [upload, setUpload] = useState<Upload>()
  const [failure, setFailure] = useState<string>()
  const input = useRef<HTMLInputElement>(null)
  const running = isRunning(status) || upload !== undefined
  const focus = useRunFocus(running)
  const rejected = useMemo(() => progress.flatMap(({ event, data }) => event === 'rejected' ? [data] : []), [progress])
  const batch = useMemo(() => progress.findLast(({ event }) => event === 'batch'), [progress])
  const sums = batch?.event === 'batch' ? batch.data : undefined
  const imported = useImportedRows(status === 'cancelled' || status === 'failed' ? streamId : undefined)

  async function importFile (): Promise<void> {
    setFailure(undefined)
    const abort = new AbortController()
    try {
      setUpload({ bytes: 0, totalBytes: 0, abort })
      const file = rows === undefined ? input.current?.files?.[0] : await fetchSample(rows, abort.signal)
      if (file === undefined) throw new Error('Choose a file first')
      const totalBytes = file.size
      const fileId = newKey()
      await putFile(`/import/files/${fileId}`, file, bytes => setUpload({ bytes, totalBytes, abort }), abort.signal)
      start({ fileId }, { url: '/jobs/import-people' }).catch(() => {})
    } catch (error) {
      setFailure(abort.signal.aborted ? 'Cancelled: nothing is imported.' : `Not uploaded: ${(error as Error).message}`)
    }
    setUpload(undefined)
  }

  return (
    <>
      <p>The file is uploaded as a stream. Then it is read row by row, and each thousand of its rows go into the database in one transaction. What is wrong
        with a row is told as it is found, and the others are imported. Reload the page in the middle: the import goes on, and so does the page.
      </p>
      <form onSubmit={event => {
        event.preventDefault()
        void importFile()
      }}
      >
        <fieldset disabled={running}>
          <legend>CSV with the columns email, name, country and born</legend>
          <div className='choices'>
            {sampleRows.map(amount => (
              <label key={amount}>
                <input type='radio' name='source' checked={rows === amount} onChange={() => setRows(amount)} /> A sample of {count(amount, 'row')}
              </label>
            ))}
            <label><input type='radio' name='source' checked={rows === undefined} onChange={() => setRows(undefined)} /> A file of yours</label>
          </div>
          {rows === undefined
            ? <p><label>File: <input ref={input} type='file' accept='.csv,text/csv' required /></label></p>
            : <p><a href={sampleUrl(rows)} download>Download this sample</a>, some rows of which are wrong.</p>}
        </fieldset>
        <p className='buttons'>
          <button ref={focus.next} disabled={running}>Import</button>
          <button
            ref={focus.cancel} type='button' className='quiet' disabled={!running} onClick={() => {
              upload?.abort.abort()
              void cancel()
            }}
          >Cancel
          </button>
        </p>
      </form>
      {upload === undefined && failure === undefined && (
        <StreamStatus status={status} error={error}>
          {result !== undefined
            ? `Done: ${count(result.rows, 'row')} imported, ${count(result.duplicates, 'duplicate')}, ${result.rejected} rejected.`
            : imported !== undefined && status === 'cancelled' && `Cancelled: ${count(imported, 'row')} of the file are in.`}
        </StreamStatus>
      )}
      {imported !== undefined && status === 'failed' && <p>{count(imported, 'row')} of the file are in.</p>}
      {failure !== undefined && <p role='alert' className='status' data-state='failed'>{failure}</p>}
      {upload !== undefined && (
        <>
          <p role='status' className='status' data-state='open'>Uploading…</p>
          <Bar label='Upload' value={upload.bytes} max={Math.max(upload.totalBytes, 1)}>{bytes(upload.bytes)} of {bytes(upload.totalBytes)}</Bar>
        </>
      )}
      {upload === undefined && sums !== undefined && (
        <Bar label='Import' value={sums.bytes} max={Math.max(sums.totalBytes ?? 0, 1)}>
          {count(sums.rows, 'row')} in, {count(sums.duplicates, 'duplicate')}, {sums.rejected} rejected
        </Bar>
      )}
      <PeopleCount status={status} running={running} />
      {upload === undefined && result !== undefined && <Summary result={result} />}
      {upload === undefined && rejected.length > 0 && <Rejections key={streamId} rows={rejected} total={sums?.rejected ?? 0} />}
      <h2>In a terminal</h2>
      <CurlLine>{`curl '${location.origin}${sampleUrl(rows ?? 10_000)}' -o people.csv`}</CurlLine>
      <p>The CSV as the body of the command, imported while it arrives:</p>
      <CurlLine>{`curl -N ${location.origin}/commands/import-csv -H 'content-type: text/csv' --data-binary @people.csv`}</CurlLine>
      <p>What the event handler has counted:</p>
      <CurlLine>{`curl ${location.origin}/import/tally`}</CurlLine>
    </>
  )
}

function sampleUrl (rows: number): string {
  return `/import/sample.csv?rows=${rows}`
}

async function fetchSample (rows: number, signal: AbortSignal): Promise<Blob> {
  const response = await fetch(sampleUrl(rows), { signal })
  if (!response.ok) throw new Error(`There is no sample: ${response.status}`)
  return await response.blob()
}

/** How many rows of an import that did not end well are in: a batch that was on its way then is in, or is not, as a whole. */
function useImportedRows (importId: string | undefined): number | undefined {
  const [rows, setRows] = useState<number>()
  useEffect(() => {
    setRows(undefined)
    if (importId === undefined) return
    const controller = new AbortController()
    const ask = async (): Promise<void> => {
      const response = await fetch(`/import/runs/${importId}`, { signal: controller.signal })
      setRows((await response.json()).rows)
    }
    ask().catch(() => {})
    return () => controller.abort()
  }, [importId])
  return rows
}

function Summary ({ result }: { readonly result: ImportSummary }) {
  const seconds = result.durationMs / 1_000
  return (
    <section aria-labelledby='summary'>
      <h2 id='summary'>Summary</h2>
      <table>
        <tbody>
          <tr><th scope='row'>Imported</th><td className='number'>{count(result.rows, 'row')}</td></tr>
          <tr><th scope='row'>Known already</th><td className='number'>{count(result.duplicates, 'row')}</td></tr>
          <tr><th scope='row'>Rejected</th><td className='number'>{count(result.rejected, 'row')}</td></tr>
          <tr><th scope='row'>Read</th><td className='number'>{bytes(result.bytes)}</td></tr>
          <tr><th scope='row'>Transactions</th><td className='number'>{result.batches}</td></tr>
          <tr><th scope='row'>Time</th><td className='number'>{seconds.toFixed(1)} s</td></tr>
        </tbody>
      </table>
    </section>
  )
}

/** Rendered anew when there are more of them, and not with each frame. */
const Rejections = memo(function Rejections ({ rows, total }: { readonly rows: readonly Rejected[], readonly total: number }) {
  return (
    <section aria-labelledby='rejected'>
      <h2 id='rejected'>Rejected rows</h2>
      {total > shownRejections && <p>The first {count(shownRejections, 'row')} of {count(total, 'row')}.</p>}
      <div className='scroll tall' tabIndex={0} role='region' aria-labelledby='rejected'>
        <table>
          <thead><tr><th scope='col' className='number'>Line</th><th scope='col'>Column</th><th scope='col'>Reason</th><th scope='col'>Value</th></tr></thead>
          <tbody>
            {rows.slice(0, shownRejections).map(({ line, column, reason, value }, index) => (
              <tr key={index}><td className='number'>{line}</td><td>{column}</td><td>{reason}</td><td>{value}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}, (before, after) => before.rows.length === after.rows.length && before.total === after.total)
