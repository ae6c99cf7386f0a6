import { useState } from 'react'
import { useStream } from '../../../lib/react/index.js'
import type { Format } from '../../exporting/contracts.js'
import { Bar } from '../bar.js'
import { client } from '../client.js'
import { CurlLine, curlPost } from '../curl-line.js'
import { bytes, count } from '../format.js'
import { PeopleCount } from '../people-count.js'
import { useRunFocus } from '../run-focus.js'
import { StreamStatus, isRunning } from '../stream-status.js'

const formats: readonly Format[] = ['csv', 'ndjson']
const fillRows = [10_000, 100_000, 1_000_000]

export default function Export () {
  const fill = useStream(client, 'fill-people', { resume: 'fill', keep: 1 })
  const file = useStream(client, 'export-people', { resume: 'export', keep: 1 })
  const [format, setFormat] = useState<Format>('csv')
  const [rows, setRows] = useState(1_000_000)
  const filling = isRunning(fill.status)
  const exporting = isRunning(file.status)
  const fillFocus = useRunFocus(filling)
  const fileFocus = useRunFocus(exporting)
  return (
    <>
      <p>The rows are read in pages, each where the one before it has ended. A download reads the next page when its client has taken the last one, so
        that the server needs no more memory for a million rows than for a thousand, and everybody else may ask the database in between.
      </p>
      <h2>Download</h2>
      <p className='choices'>{formats.map(name => <a key={name} href={`/export/people.${name}`} download>people.{name}</a>)}</p>
      <h2>Write a file</h2>
      <form onSubmit={event => {
        event.preventDefault()
        file.start({ format }, { url: '/jobs/export-people' }).catch(() => {})
      }}
      >
        <fieldset disabled={exporting}>
          <legend>Format</legend>
          <div className='choices'>
            {formats.map(name => (
              <label key={name}><input type='radio' name='format' checked={format === name} onChange={() => setFormat(name)} /> {name.toUpperCase()}</label>
            ))}
          </div>
        </fieldset>
        <p className='buttons'>
          <button ref={fileFocus.next} disabled={exporting}>Export</button>
          <button ref={fileFocus.cancel} type='button' className='quiet' disabled={!exporting} onClick={() => { void file.cancel() }}>Cancel the export</button>
        </p>
      </form>
      <StreamStatus status={file.status} error={file.error}>
        {file.result !== undefined && <>Done: {count(file.result.rows, 'row')}, {bytes(file.result.bytes)}. <a href={file.result.url} download>Take the file</a></>}
      </StreamStatus>
      {file.latest !== undefined && (
        <Bar label='Export' value={file.latest.rows} max={Math.max(file.latest.totalRows, 1)}>
          {count(file.latest.rows, 'row')} of {count(file.latest.totalRows, 'row')}, {bytes(file.latest.bytes)}
        </Bar>
      )}
      <h2>Make rows</h2>
      <form onSubmit={event => {
        event.preventDefault()
        fill.start({ rows }, { url: '/jobs/fill-people' }).catch(() => {})
      }}
      >
        <fieldset disabled={filling}>
          <legend>Rows to add</legend>
          <div className='choices'>
            {fillRows.map(amount => (
              <label key={amount}><input type='radio' name='rows' checked={rows === amount} onChange={() => setRows(amount)} /> {count(amount, 'row')}</label>
            ))}
          </div>
        </fieldset>
        <p className='buttons'>
          <button ref={fillFocus.next} disabled={filling}>Make them</button>
          <button ref={fillFocus.cancel} type='button' className='quiet' disabled={!filling} onClick={() => { void fill.cancel() }}>Cancel</button>
        </p>
      </form>
      <StreamStatus status={fill.status} error={fill.error}>{fill.result !== undefined && `Done: ${count(fill.result.rows, 'row')} made.`}</StreamStatus>
      {fill.latest !== undefined && <Bar label='Rows' value={fill.latest.rows} max={fill.latest.totalRows}>{count(fill.latest.rows, 'row')}</Bar>}
      <PeopleCount status={`${fill.status} ${file.status}` === 'idle idle' ? 'idle' : fill.status + file.status} running={filling} />
      <h2>In a terminal</h2>
      {formats.map(name => <CurlLine key={name}>{`curl -N ${location.origin}/export/people.${name}${name === 'csv' ? ' -o people.csv' : ' | head'}`}</CurlLine>)}
      <CurlLine>{curlPost('/jobs/export-people', { format })}</CurlLine>
      <CurlLine>{curlPost('/jobs/fill-people', { rows })}</CurlLine>
    </>
  )
}
