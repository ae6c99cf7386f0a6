/** What a server tells about a refusal or a failure (RFC 9457). Of an answer that is no problem there are `status` and `title`. */
export interface ClientProblem {
  readonly type?: string
  readonly title?: string
  readonly status?: number
  readonly detail?: string
  readonly instance?: string
  readonly code?: string
  readonly retryable?: boolean
  readonly errors?: ReadonlyArray<{ readonly field: string, readonly message: string }>
}

/** What is known of an error beside its code and its message. */
export interface ClientErrorDetails {
  readonly retryable?: boolean | undefined
  readonly problem?: ClientProblem | undefined
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/**
 * What a stream did instead of completing. `failed`: the server said that the command failed, or refused it. `truncated`: its end was not
 * seen, so that nobody knows whether the command has completed, or will. `cancelled`: by this client or by another.
 */
export type ClientErrorKind = 'failed' | 'truncated' | 'cancelled'

/** What the calls of a client reject with. It is one class, because of three browsers would be sent the names. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  declare readonly kind: ClientErrorKind
  /** The problem's own, or one that begins with `CLIENT_ERR_`. */
  declare readonly code: string
  /** What the server said, where it said something. */
  declare readonly problem: ClientProblem | undefined
  /** How long the server asked to wait (`Retry-After`), in milliseconds. */
  declare readonly retryAfterMs: number | undefined
  /** Whether the same call may be made again: it may end better, and runs nothing twice. */
  readonly retryable: boolean = false

  // Where there is nothing to tell beside the code, that is the message, too: texts would be a tenth of what browsers are sent.
  constructor (kind: ClientErrorKind, code: string, details?: ClientErrorDetails, message = code) {
    super(message)
    Object.assign(this, details, { kind, code })
  }
}

/** Makes an error of a problem. Nothing is taken for granted of what a server sends. */
export function problemError (kind: ClientErrorKind, problem: ClientProblem, details?: ClientErrorDetails): ClientError {
  const { code = 'CLIENT_ERR_HTTP', detail, title, status, retryable } = problem
  return new ClientError(kind, code, { problem, retryable: !!retryable, ...details }, (detail ?? title ?? status) as string)
}
