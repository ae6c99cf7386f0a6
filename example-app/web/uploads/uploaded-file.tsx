import { useEffect, useRef } from 'react'
import { useStream } from '../../../lib/react/index.js'
import { Bar } from '../bar.js'
import { client } from '../client.js'
import { bytes, count } from '../format.js'
import { isRunning, messageOf } from '../stream-status.js'
import type { PageUpload, UploadPhase } from './uploader.js'

const words: Readonly<Record<Exclude<UploadPhase, 'sending' | 'complete'>, string>> = {
  waiting: 'Waiting',
  interrupted: 'The connection was lost: it goes on by itself',
  failed: 'Failed',
  cancelled: 'Cancelled'
}

interface UploadedFileProps {
  readonly upload: PageUpload
  readonly receivedBytes: number
  /** Whether it is its turn to be processed. */
  readonly mayProcess: boolean
  readonly onCancel: () => void
  readonly onProcessed: () => void
}

/** One file: its way to the server, then what the server found in it. */
export function UploadedFile ({ upload: { uploadId, name, sizeBytes, phase, error }, receivedBytes, mayProcess, onCancel, onProcessed }: UploadedFileProps) {
  const isComplete = phase === 'complete'
  const received = isComplete ? sizeBytes : receivedBytes
  return (
    <li data-phase={phase}>
      <div className='file'>
        <Bar label={name} value={isComplete ? 1 : received / Math.max(sizeBytes, 1)} max={1}>
          {phase === 'sending' || isComplete ? `${bytes(received)} of ${bytes(sizeBytes)}` : words[phase]}
        </Bar>
        {phase !== 'complete' && phase !== 'failed' && phase !== 'cancelled' && (
          <button type='button' className='quiet' aria-label={`Cancel ${name}`} onClick={onCancel}>Cancel</button>
        )}
      </div>
      {error !== undefined && <p className='failure' role='alert'>{error}</p>}
      {isComplete && <Contents uploadId={uploadId} mayProcess={mayProcess} onProcessed={onProcessed} />}
    </li>
  )
}

function Contents ({ uploadId, mayProcess, onProcessed }: { readonly uploadId: string, readonly mayProcess: boolean, readonly onProcessed: () => void }) {
  const { start, status, latest, error } = useStream(client, 'process-uploads', { resume: `process ${uploadId}`, keep: 1 })
  const isAsked = useRef(false)
  useEffect(() => {
    // A run of the page before is taken up by the hook.
    if (!mayProcess || status !== 'idle' || isAsked.current) return
    isAsked.current = true
    start({ fileIds: [uploadId], operation: 'analyze' }, { url: '/jobs/process-uploads', idempotencyKey: `upload-${uploadId}` }).catch(() => {})
  }, [mayProcess, status])
  const hasEnded = status !== 'idle' && !isRunning(status)
  useEffect(() => { if (hasEnded) onProcessed() }, [hasEnded])
  if (status === 'failed' || status === 'truncated') return <p className='failure' role='alert'>Not processed: {messageOf(error)}</p>
  if (latest?.status !== 'completed') return <p>{latest === undefined ? 'Waiting to be processed…' : `Processing: ${latest.percent} %`}</p>
  return <p className='contents'>{count(latest.lines ?? 0, 'line')}, SHA-256 <code>{latest.sha256}</code></p>
}
