import type { EndReason } from '../lib/errors.js'

/** Who writes what a source has: a reply. */
export interface FrameTarget {
  /** Whether the answer is a stream by now; before that it may still be refused. */
  readonly isCommitted: boolean
  /** What has left for the client; `closed` when nothing more does. */
  readonly written: { readonly frames: number, readonly bytes: number, readonly closed: boolean }
  /** Frames that leave with those that follow, and do not make the answer a stream. */
  hold (text: string): void
  /** The answer to a pull. */
  write (text: string): void
  /** The last frame, whenever it comes. Not when nothing is written any more. */
  finish (text: string): void
  /** Makes the answer an error. Only before the commit. */
  refuse (error: unknown): void
}

/** Where the frames of a reply come from. */
export interface FrameSource {
  readonly streamId: string
  readonly command: string
  /** What is written while nothing happens. */
  readonly heartbeat: string
  /** How many frames it has given. */
  readonly frames: number
  /** Makes the target known. Nothing but what is held comes before the first pull. */
  open (target: FrameTarget): void
  /** Asks for what comes next; the answer to one pull comes before there is another. */
  pull (): void
  /** Told once, when nothing is written any more: why, if that was before the last frame. */
  close (reason: EndReason | undefined): void
}
