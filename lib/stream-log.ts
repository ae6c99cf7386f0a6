/** One frame of a stream as it is kept: the JSON text is made once, and all readers share the entry. */
export interface LogEntry {
  /** Counts a stream's entries from 1, without gaps, over all of its attempts. */
  readonly seq: number
  /** The attempt that wrote it. Never falls from one entry to the next. */
  readonly attempt: number
  /** `start`, `complete`, `failed`, or the name of a progress event; never a name that a route gives instead. */
  readonly event: string
  /** JSON text, in one line. */
  readonly data: string
  /** The length of `data` in UTF-8. */
  readonly bytes: number
}

/** What becomes of a stream: `queued` while nobody writes it, then `running`, then one of the three ends. */
export type LogState = 'queued' | 'running' | LogEnd

/** How a stream has ended. The last entry of `completed` is a `complete`, that of the others a `failed`. */
export type LogEnd = 'completed' | 'failed' | 'cancelled'

/** What is known of a stream, at one moment. */
export interface LogInfo {
  readonly streamId: string
  readonly owner: string
  readonly command: string
  readonly meta: string | undefined
  readonly state: LogState
  /** How many attempts have begun. */
  readonly attempt: number
  /** The oldest entry that is kept; 0 while there is none. */
  readonly firstSeq: number
  /** The newest entry, which is always kept: after the end it is the terminal. */
  readonly last: LogEntry | undefined
  /** How many progress events the last attempt has written. */
  readonly progressCount: number
  /** When the first attempt began, in milliseconds since 1970. */
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
}

/** The last entry that a reader has seen. */
export interface LogPosition {
  readonly seq: number
  readonly attempt: number
}

/** What a new log is made with. */
export interface OpenLogOptions {
  /** Who may read and cancel it. */
  readonly owner: string
  readonly command: string
  /** Says what was asked for: who opens the same id with another one has asked for something else. */
  readonly fingerprint: string
  /** Told again by {@link LogInfo}; means nothing to the log. */
  readonly meta?: string | undefined
  /** Whether the opener writes it. If not, it is `queued` until somebody takes it. */
  readonly lease: boolean
}

export type OpenLogResult =
  /** The stream is new. There is a writer where a lease was asked for. */
  | { readonly outcome: 'created', readonly writer: LogWriter | undefined, readonly info: LogInfo }
  /** There is one already, of the same owner and with the same fingerprint. */
  | { readonly outcome: 'exists', readonly info: LogInfo }
  /** There is one already, of the same owner, that was opened with another fingerprint. */
  | { readonly outcome: 'mismatch' }
  /** There is one already, of somebody else. */
  | { readonly outcome: 'forbidden' }

export type TakeLogResult =
  /** The next attempt may begin. `info.last` is what the one before had written. */
  | { readonly outcome: 'taken', readonly writer: LogWriter, readonly info: LogInfo }
  /** Another attempt is at work. */
  | { readonly outcome: 'leased' }
  | { readonly outcome: 'closed', readonly info: LogInfo }
  | { readonly outcome: 'gone' }

/** Who asks. A stream of somebody else is the same as one that does not exist. */
export interface LogAccess {
  /** @default whoever asks may */
  readonly owner?: string | undefined
}

export interface ReadLogOptions extends LogAccess {
  /** What comes after it is read. @default all */
  readonly after?: LogPosition | undefined
}

export interface ListLogsOptions {
  /** `next` of the page before. @default the newest */
  readonly after?: string | undefined
  /** At least 1. */
  readonly limit: number
}

/** Some of an owner's streams, the newest first. */
export interface LogPage {
  readonly streams: readonly LogInfo[]
  /** Where the next page begins; undefined on the last. */
  readonly next: string | undefined
}

/** The one attempt of a stream that may write. */
export interface LogWriter {
  readonly attempt: number
  /** Aborts with MEDIATOR_ERR_CANCELLED when the stream is cancelled, and when nothing more is taken from this writer. */
  readonly signal: AbortSignal
  /** Whether anybody reads the stream, on any machine. */
  readonly hasReaders: boolean
  /** Calls the listener whenever `hasReaders` changes; a later listener replaces it. */
  onReaders (listener: (hasReaders: boolean) => void): void
  /**
   * Writes the next entry. Readers see it when it is stored, not before. `true` says: go on; a promise: there is no room, go on when
   * it is fulfilled; false: nothing more is taken, because the stream has ended or this attempt has lost it.
   */
  append (event: string, data: string): boolean | Promise<boolean>
  /** Writes the terminal, `complete` or `failed`, without waiting for room. False if the stream had ended or was lost: one terminal wins. */
  end (state: LogEnd, data: string): Promise<boolean>
  /** Gives the stream back, so that the next attempt can take it. Nothing more is taken from this writer. */
  release (): Promise<void>
  /** Forgets the stream, as if it had never been opened: for one that was refused before it wrote anything. Its readers end without an entry. */
  discard (): Promise<void>
}

/** One reader's place in a stream. It asks for what it can use: a reader that is slow costs its place, and no queue. */
export interface LogReader {
  /** Whether nothing comes any more: it has taken the terminal, was closed, or the log was. */
  readonly ended: boolean
  /**
   * The entries that come next, up to a bound, as far as there are some now: it never waits.
   * @throws MEDIATOR_ERR_LOG_GAP where the next entry is not kept any more, or what else has happened to the log
   */
  take (): readonly LogEntry[]
  /**
   * Calls back, once and not before this has returned, when `take` has something to give or to throw, or the reader has ended. To be called
   * when `take` gave nothing; another callback replaces the one that waits. It must not throw.
   */
  onReady (callback: () => void): void
  /** Leaves. A callback that waits is called. */
  close (): void
}

/** Keeps the frames of streams, so that a stream outlives its socket. Other rules of an implementation: `streamLogConformance`. */
export interface StreamLog {
  /** Makes a log, or finds the one that has the id. @throws MEDIATOR_ERR_LOG_FULL, MEDIATOR_ERR_SHUTTING_DOWN */
  open (streamId: string, options: OpenLogOptions): Promise<OpenLogResult>
  /** Takes a stream that nobody writes. @throws MEDIATOR_ERR_SHUTTING_DOWN */
  take (streamId: string): Promise<TakeLogResult>
  /**
   * Reads what is kept, then what comes, up to the terminal. Everybody has a place of their own.
   * @throws MEDIATOR_ERR_STREAM_NOT_FOUND, MEDIATOR_ERR_LOG_GAP, MEDIATOR_ERR_LOG_ROLLED_BACK
   */
  read (streamId: string, options?: ReadLogOptions): Promise<LogReader>
  /**
   * Asks the writer to end the stream, by its signal; where there is none, ends it. Does nothing after the end. Tells what the stream is
   * then, undefined for one that is not there.
   */
  cancel (streamId: string, options?: LogAccess): Promise<LogInfo | undefined>
  stat (streamId: string, options?: LogAccess): Promise<LogInfo | undefined>
  list (owner: string, options: ListLogsOptions): Promise<LogPage>
  /** Readers get no more, writers are aborted, and what is called later is refused. */
  close (): Promise<void>
}
