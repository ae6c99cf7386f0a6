import type { ReactNode } from 'react'
import { ClientError } from '../../lib/client/index.js'
import type { ClientStreamState } from '../../lib/client/index.js'

const words: Readonly<Record<ClientStreamState, string>> = {
  idle: 'Ready.',
  connecting: 'Starting…',
  open: 'Running…',
  reconnecting: 'Reconnecting: the connection was lost…',
  complete: 'Done.',
  failed: 'Failed',
  truncated: 'The end was not seen',
  cancelled: 'Cancelled.'
}

/** Says how a stream stands, to everybody: also to those who hear the page. `children`, where there are any, take the place of the words for its state. */
export function StreamStatus ({ status, error, children }: { readonly status: ClientStreamState, readonly error: unknown, readonly children?: ReactNode }) {
  return (
    <p role='status' aria-live='polite' className='status' data-state={status}>
      {children || words[status]}{(status === 'failed' || status === 'truncated') && `: ${messageOf(error)}`}
    </p>
  )
}

/** Whether a stream is on its way. */
export function isRunning (status: ClientStreamState): boolean {
  return status === 'connecting' || status === 'open' || status === 'reconnecting'
}

/** What a stream has failed with, in words. */
export function messageOf (error: unknown): string {
  if (error instanceof ClientError) return error.problem?.detail ?? error.problem?.title ?? error.message
  return error instanceof Error ? error.message : String(error)
}
