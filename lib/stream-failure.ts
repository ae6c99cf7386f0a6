import type { CommandDefinition } from './definition.js'
import type { EndReason } from './errors.js'
import type { MediatorStream } from './mediator-stream.js'
import { problemOf, toldError } from './problem.js'
import type { Problem } from './problem.js'

/** What a stream has failed with, as its log and its readers are told. */
export interface StreamFailure {
  readonly error: unknown
  readonly problem: Problem
  readonly reason: EndReason
  readonly level: 'info' | 'error'
  /** Whether readers are told only when the stream's events have settled, so that nothing of it goes on behind who has seen its end. */
  readonly afterEvents: boolean
}

/** Describes what the consumer of a stream was told as its error. */
export function failureOf (stream: MediatorStream<CommandDefinition>, thrown: unknown): StreamFailure {
  const { abortError } = stream
  const error = toldError(stream, thrown)
  const problem = problemOf(error, stream.streamId)
  // An end that somebody has asked for does not wait.
  if (abortError !== undefined && thrown === abortError && abortError.reason !== 'failed') {
    return { error, problem, reason: abortError.reason, level: 'info', afterEvents: false }
  }
  return { error, problem, reason: 'failed', level: problem.status >= 500 ? 'error' : 'info', afterEvents: true }
}
