import { randomBytes } from 'node:crypto'
import { MalformedEventIdError } from './errors.js'

/** The id of one frame: `<streamId>.<seq>`, with `-<attempt>` from the second attempt on and `.end` on the terminal. */
export interface FrameId {
  readonly streamId: string
  /** Counts a stream's frames from 1, without gaps. */
  readonly seq: number
  readonly attempt: number
  readonly terminal: boolean
}

const pattern = /^([A-Za-z0-9_-]{22})\.([1-9][0-9]{0,14})(?:-([1-9][0-9]{0,8}))?(\.end)?$/

/** Makes the id of a stream: 16 random bytes in base64url, so that nobody can guess one. */
export function createStreamId (): string {
  return randomBytes(16).toString('base64url')
}

/** Whether it may be the id of a stream. */
export function isStreamId (text: string): boolean {
  return /^[A-Za-z0-9_-]{22}$/.test(text)
}

/** Writes the id of a frame. */
export function formatFrameId (streamId: string, seq: number, attempt: number, terminal: boolean): string {
  return `${streamId}.${seq}${attempt === 1 ? '' : `-${attempt}`}${terminal ? '.end' : ''}`
}

/** Reads a frame's id that a client sent back. @throws MEDIATOR_ERR_MALFORMED_EVENT_ID */
export function parseFrameId (text: string): FrameId {
  const match = pattern.exec(text)
  if (match === null) throw new MalformedEventIdError()
  const [, streamId, seq, attempt = '1', end] = match
  return { streamId: streamId!, seq: Number(seq), attempt: Number(attempt), terminal: end !== undefined }
}
