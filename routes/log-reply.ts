import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FrameStyle } from '../lib/frame-style.js'
import type { LogEntry, LogInfo, LogPosition, LogReader } from '../lib/stream-log.js'
import type { AnswerType } from './accept.js'
import { hasClientClosed, onClientClosed } from './client-closed.js'
import { keptStreams } from './kept-streams.js'
import { LogFrames } from './log-frames.js'
import type { LogFramesOptions } from './log-frames.js'
import { openReplies } from './open-replies.js'
import { ReplyStream } from './reply-stream.js'
import { replyWithFrames } from './stream-reply.js'

export interface LogReplyOptions extends Pick<LogFramesOptions, 'streamId' | 'command' | 'reader' | 'refusalOf'> {
  readonly answer: Exclude<AnswerType, 'application/json'>
  readonly style: FrameStyle
  /** Whether clients are told to come back. */
  readonly retry: boolean
  readonly commitAfterMs: number
}

/** Answers with the frames of a stream that is kept. */
export async function replyWithLog (
  request: FastifyRequest, reply: FastifyReply, { answer, style, retry, commitAfterMs, ...options }: LogReplyOptions
): Promise<unknown> {
  const { streamId } = options
  const text = request.server[keptStreams].texts.open({ streamId, format: answer === 'text/event-stream' ? 'sse' : 'ndjson', style, retry })
  const body = new ReplyStream({
    source: new LogFrames({ ...options, text }), request, reply, replies: request.server[openReplies], commitAfterMs
  })
  return await replyWithFrames(body, reply, answer)
}

/** Whether a stream has ended with the frame that a client has seen: there is nothing behind it. */
export function isEndOf ({ endedAt, last }: LogInfo, { seq, attempt }: LogPosition): boolean {
  return endedAt !== undefined && last!.seq === seq && last!.attempt === attempt
}

/** Reads to the end and resolves the terminal; undefined where the client left before that, or the log was closed. */
export async function readToEnd (reader: LogReader, request: FastifyRequest, reply: FastifyReply): Promise<LogEntry | undefined> {
  const stopListening = onClientClosed(request, reply, () => reader.close())
  if (hasClientClosed(request, reply)) reader.close()
  let last: LogEntry | undefined
  try {
    while (!reader.ended) {
      const entries = reader.take()
      last = entries.at(-1) ?? last
      if (entries.length === 0) await new Promise<void>(resolve => reader.onReady(resolve))
    }
  } finally {
    stopListening()
    reader.close()
  }
  return last?.event === 'complete' || last?.event === 'failed' ? last : undefined
}
