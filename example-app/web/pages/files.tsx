import { useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { useStream } from '../../../lib/react/index.js'
import { Bar } from '../bar.js'
import { client } from '../client.js'
import { CurlLine, curlPost } from '../curl-line.js'
import { bytes, count } from '../format.js'
import { isRunning } from '../stream-status.js'
import { FileDrop } from '../uploads/file-drop.js'
import { UploadedFile } from '../uploads/uploaded-file.js'
import { Uploader, hasEnded } from '../uploads/uploader.js'
import type { PageUpload } from '../uploads/uploader.js'

const mostProcessed = 2
const watchedAtOnce = 256

export default function Files () {
  const [uploader] = useState(() => new Uploader())
  const uploads = useSyncExternalStore(uploader.subscribe, uploader.snapshot)
  const received = useReceived(uploads)
  // Those whose processing has ended, however it did.
  const [processed, setProcessed] = useState<ReadonlySet<string>>(new Set())
  useEffect(() => { void uploader.resume() }, [uploader])

  const wanted = uploads.filter(({ phase }) => phase !== 'cancelled' && phase !== 'failed')
  const open = uploads.filter(({ phase }) => !hasEnded(phase))
  const complete = uploads.filter(({ phase }) => phase === 'complete')
  // Browsers open six connections a host, and uploads need some of them.
  const mayProcess = new Set(complete.filter(({ uploadId }) => !processed.has(uploadId)).slice(0, mostProcessed).map(({ uploadId }) => uploadId))
  const sum = (of: readonly PageUpload[]): number => of.reduce((sum, upload) => sum + upload.sizeBytes, 0)
  const receivedSum = wanted.reduce((sum, { uploadId, phase, sizeBytes }) => sum + (phase === 'complete' ? sizeBytes : received(uploadId)), 0)
  return (
    <>
      <p>Files are sent in pieces that the server writes down as they arrive. The bars show what it has. Reload the page, or close it and come back:
        the uploads go on where they were.
      </p>
      <FileDrop onFiles={files => { void uploader.add(files) }} />
      <p className='buttons'>
        <button type='button' className='quiet' disabled={open.length === 0} onClick={() => { void uploader.cancelAll() }}>Cancel all</button>
        <button type='button' className='quiet' disabled={open.length === uploads.length} onClick={() => { void uploader.clear() }}>Clear the list</button>
      </p>
      <p role='status' aria-live='polite' className='status' data-state={open.length > 0 ? 'open' : complete.length > 0 ? 'complete' : 'idle'}>
        {uploads.length === 0
          ? 'No files yet.'
          : open.length > 0
            ? `Uploading: ${complete.length} of ${count(wanted.length, 'file')} complete…`
            : `${count(complete.length, 'file')} uploaded.`}
      </p>
      {wanted.length > 0 && (
        <Bar label='All files' value={receivedSum} max={Math.max(sum(wanted), 1)}>{bytes(receivedSum)} of {bytes(sum(wanted))}</Bar>
      )}
      <ul className='list' aria-label='Files'>
        {uploads.map(upload => (
          <UploadedFile
            key={upload.uploadId} upload={upload} receivedBytes={received(upload.uploadId)} mayProcess={mayProcess.has(upload.uploadId)}
            onCancel={() => { void uploader.cancel(upload.uploadId) }}
            onProcessed={() => setProcessed(before => new Set(before).add(upload.uploadId))}
          />
        ))}
      </ul>
      <h2>In a terminal</h2>
      <p>Files of a form, or one file as the body:</p>
      <CurlLine>{`curl -N -F file=@big.bin ${location.origin}/upload-files`}</CurlLine>
      <CurlLine>{`curl -N -X POST -T big.bin '${location.origin}/upload-files?name=big.bin'`}</CurlLine>
      <p>What has arrived of an upload, and what is in it:</p>
      <CurlLine>{`curl -N '${location.origin}/commands/watch-uploads?uploadIds=${uploads[0]?.uploadId ?? '<id>'}'`}</CurlLine>
      <CurlLine>{curlPost('/jobs/process-uploads', { fileIds: [uploads[0]?.uploadId ?? '<id>'] })}</CurlLine>
    </>
  )
}

/**
 * How many bytes of each upload the server has: one stream for those that are not complete. It is begun anew when it has ended and some are left,
 * or when one is sent that it does not watch, and not with each file that is complete.
 */
function useReceived (uploads: readonly PageUpload[]): (uploadId: string) => number {
  const { start, progress, status } = useStream(client, 'watch-uploads', { keep: 1_000 })
  const known = useRef(new Map<string, number>())
  for (const { uploadId, receivedBytes } of progress) known.current.set(uploadId, receivedBytes)
  const watched = useRef<ReadonlySet<string>>(new Set())
  const isUnwatched = ({ uploadId }: PageUpload): boolean => !watched.current.has(uploadId)
  const waiting = uploads.filter(({ phase }) => phase === 'waiting')
  const sending = uploads.filter(({ phase }) => phase === 'sending' || phase === 'interrupted')
  const open = [...sending, ...waiting]
  const newest = useRef(open)
  newest.current = open
  const isDue = sending.some(isUnwatched) || (waiting.length > 0 && open.every(isUnwatched))
  // Also a stream that was lost for good, as when the server was started anew.
  const isOver = open.length > 0 && !isRunning(status) && status !== 'idle'
  useEffect(() => {
    const begin = (): void => {
      const uploadIds = newest.current.slice(0, watchedAtOnce).map(({ uploadId }) => uploadId)
      watched.current = new Set(uploadIds)
      start({ uploadIds }).catch(() => {})
    }
    if (isDue) begin()
    else if (isOver) {
      const timer = setTimeout(begin, 1_000)
      return () => clearTimeout(timer)
    }
  }, [isDue, isOver, start])
  return uploadId => known.current.get(uploadId) ?? 0
}
