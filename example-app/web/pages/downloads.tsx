import { useEffect, useState } from 'react'
import { CurlLine } from '../curl-line.js'
import { bytes } from '../format.js'

interface ListedFile { readonly fileId: string, readonly sizeBytes: number }

export default function Downloads () {
  const { files, error } = useFiles()
  const [first] = files
  return (
    <>
      <p>A file as it is can be asked for in parts: a download that was cut goes on where it was. Compressed on the way, nobody knows its length before
        its end, and it begins anew.
      </p>
      <p role='status' className='status' data-state={error === undefined ? 'idle' : 'failed'}>{error ?? `${files.length} files.`}</p>
      <ul className='list' aria-label='Files'>
        {files.map(({ fileId, sizeBytes }) => (
          <li key={fileId} className='download'>
            <a href={pathOf(fileId)} download={fileId}>{fileId}</a> <small>{bytes(sizeBytes)}</small>{' '}
            <a href={pathOf(fileId, 'gzip/')} download={`${fileId}.gz`} aria-label={`${fileId}, compressed`}>.gz</a>
          </li>
        ))}
      </ul>
      {first !== undefined && (
        <>
          <h2>In a terminal</h2>
          <p>The rest of what is there already, or all of it:</p>
          <CurlLine>{`curl -C - -o ${quoted(first.fileId)} ${quoted(location.origin + pathOf(first.fileId))}`}</CurlLine>
          <p>Compressed while it is read:</p>
          <CurlLine>{`curl -N -o ${quoted(`${first.fileId}.gz`)} ${quoted(location.origin + pathOf(first.fileId, 'gzip/'))}`}</CurlLine>
        </>
      )}
    </>
  )
}

function useFiles (): { files: readonly ListedFile[], error: string | undefined } {
  const [files, setFiles] = useState<readonly ListedFile[]>([])
  const [error, setError] = useState<string>()
  useEffect(() => {
    const controller = new AbortController()
    const ask = async (): Promise<void> => {
      const response = await fetch('/files', { signal: controller.signal })
      if (!response.ok) throw new Error(`HTTP ${response.status}`)
      setFiles(await response.json())
    }
    ask().catch((reason: Error) => { if (!controller.signal.aborted) setError(`The files could not be listed: ${reason.message}`) })
    return () => controller.abort()
  }, [])
  return { files, error }
}

const pathOf = (fileId: string, before = ''): string => `/downloads/${before}${encodeURIComponent(fileId)}`

// A single quote ends the shell's quoted text: it stands in a text of its own.
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
