import { randomFillSync } from 'node:crypto'
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

// Random bytes for the next ids: the system is asked for many at once, because asking costs more than the bytes.
const idBytes = 16
const randomPool = Buffer.alloc(256 * idBytes)
let randomUsed = randomPool.length

/** Makes the id of a stream: 16 random bytes in base64url, so that nobody can guess one. */
export function createStreamId (): string {
  if (randomUsed === randomPool.length) {
    randomFillSync(randomPool)
    randomUsed = 0
  }
  const id = randomPool.toString('base64url', randomUsed, randomUsed + idBytes)
  // What an id was made of stays nowhere else.
  randomPool.fill(0, randomUsed, randomUsed += idBytes)
  return id
}

/** Whether it may be the id of a stream. */
export function isStreamId (text: string): boolean {
  return /^[A-Za-z0-9_-]{22}$/.test(text)
}

/** Writes the id of a frame. */
export function formatFrameId (streamId: string, seq: number, attempt: number, terminal: boolean): string {
  return `${streamId}.${formatSeq(seq, attempt, terminal)}`
}

/** Writes what follows the stream's id in that of a frame. */
export function formatSeq (seq: number, attempt: number, terminal: boolean): string {
  if (attempt === 1 && !terminal) return String(seq)
  return `${seq}${attempt === 1 ? '' : `-${attempt}`}${terminal ? '.end' : ''}`
}

/** Reads a frame's id that a client sent back. @throws MEDIATOR_ERR_MALFORMED_EVENT_ID */
export function parseFrameId (text: string): FrameId {
  const match = pattern.exec(text)
  if (match === null) throw new MalformedEventIdError()
  const [, streamId, seq, attempt = '1', end] = match
  return { streamId: streamId!, seq: Number(seq), attempt: Number(attempt), terminal: end !== undefined }
}
