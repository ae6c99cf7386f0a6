import type { EndReason } from './errors.js'

/** What is known of a stream when it is over: its handler has ended or was let go, its events have settled, its reply is closed. */
export interface StreamEnd {
  readonly streamId: string
  /** The command's or query's name. */
  readonly command: string
  /** What the option `owner` returned; undefined without one. */
  readonly owner: string | undefined
  readonly reason: EndReason
  /** From the start of the handler, in milliseconds. */
  readonly durationMs: number
  /** How many events its handler and their handlers emitted. */
  readonly events: number
  /** How many frames were written to a client; 0 without one. */
  readonly frames: number
  /** How many bytes of frames and heartbeats were written to a client; 0 without one. */
  readonly bytes: number
  /** Why it failed or was aborted; undefined after `completed`. */
  readonly error: unknown
}

/** Told of each stream that is over. What it throws, or rejects with, is logged. */
export type StreamEndHook = (end: StreamEnd) => unknown
