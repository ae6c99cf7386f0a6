import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EndReason } from '../lib/errors.js'
import { maxTimeoutMs } from '../lib/max-timeout.js'
import { TurnClock, afterMicrotasks, inLaterTurn } from '../lib/turns.js'
import { hasAnswer, hasClientClosed, onClientClosed } from './client-closed.js'
import type { FrameSource, FrameTarget } from './frame-source.js'
import { cutResponse } from './http2-sessions.js'
import { writeOneChunk } from './one-chunk.js'
import type { OpenReplies, OpenReply } from './open-replies.js'

// What is ready in one turn of the event loop leaves in one write, up to about this many characters.
const chunkLength = 32_768

/** Where frames go: straight into the response or, when a hook has put a stream in between, into this Readable's own buffer. */
interface Sink {
  /** Whether more may be written before the next drain. */
  write (chunk: string | Buffer, encoding?: BufferEncoding): boolean
  end (text: string): unknown
}

export interface ReplyStreamOptions {
  readonly source: FrameSource
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly replies: OpenReplies
  /** How long the source may refuse to be a stream, in milliseconds. */
  readonly commitAfterMs: number
}

/**
 * The body of one streaming reply, and the owner of everything that lives as long as it: it pulls frames from their source and
 * writes them whole. It is a Readable so that `reply.send` keeps hooks and cookies; `pipe` pumps straight
 * into the response, which costs a third of the stream machinery. It ends once: by a terminal frame, or with its socket.
 */
export class ReplyStream extends Readable implements FrameTarget, OpenReply {
  lastWriteAt = 0
  blockedAt: number | undefined
  readonly #source: FrameSource
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #replies: OpenReplies
  readonly #commitAfterMs: number
  #commitTimer: NodeJS.Timeout | undefined
  #onCommit: { resolve (): void, reject (error: unknown): void } | undefined
  #buffer = ''
  #sink: Sink | undefined
  #pulling = false
  // Until the next turn of the event loop: a drain within this one must not pull.
  #resting = false
  #flushScheduled = false
  readonly #turn = new TurnClock()
  #turnLength = 0
  #terminal: string | undefined
  #isClosed = false
  #frames = 0
  #bytes = 0
  // Made when it is needed: few streams ever wait.
  #drainListener: (() => void) | undefined
  #stopListening: (() => void) | undefined

  constructor ({ source, request, reply, replies, commitAfterMs }: ReplyStreamOptions) {
    // `close` would make Fastify log a premature end: this Readable never emits `end` when it writes to the response itself.
    super({ emitClose: false })
    this.#source = source
    this.#request = request
    this.#reply = reply
    this.#replies = replies
    this.#commitAfterMs = commitAfterMs
  }

  /** Whether the client left before there was anything to answer. */
  get abandoned (): boolean {
    return this.#isClosed
  }

  get isCommitted (): boolean {
    return this.#onCommit === undefined
  }

  /** What has left for the client, frames and heartbeats. */
  get written (): { frames: number, bytes: number, closed: boolean } {
    return { frames: this.#frames, bytes: this.#bytes, closed: this.#isClosed }
  }

  /**
   * Opens the source and resolves when the answer is known to be a stream: at the first progress, at the end, or after
   * `commitAfterMs`. Rejects with what refused it before that. Resolves too when the client has left.
   */
  commit (): Promise<void> {
    this.#source.open(this)
    this.#stopListening = onClientClosed(this.#request, this.#reply, this.#onClose)
    if (hasClientClosed(this.#request, this.#reply)) {
      this.#onClose()
      return Promise.resolve()
    }
    return new Promise<void>((resolve, reject) => {
      this.#onCommit = { resolve, reject }
      this.#turn.begin()
      this.#pull()
      // Only for those that have not begun by the next turn: a timer costs more than a whole short stream of frames.
      if (this.#onCommit !== undefined) setImmediate(() => this.#commitInTime())
    })
  }

  hold (text: string): void {
    this.#buffer += text
  }

  write (text: string): void {
    this.#pulling = false
    this.#buffer += text
    this.#commit()
    this.#advance(text.length)
  }

  finish (text: string): void {
    this.#terminal = text
    this.#commit()
    if (this.#sink !== undefined) this.#end()
  }

  refuse (error: unknown): void {
    this.#clearCommitTimer()
    this.#isClosed = true
    this.#stopListening?.()
    this.#onCommit!.reject(error)
    this.#onCommit = undefined
    this.#source.close(undefined)
  }

  writeHeartbeat (): void {
    // Never behind a reader that does not read, and never between the parts of what waits to be written.
    if (this.blockedAt !== undefined || this.#terminal !== undefined) return
    this.#buffer += this.#source.heartbeat
    this.#flush()
  }

  cut (reason: 'shutdown' | 'stalled'): void {
    // What the stream came to is told already.
    if (this.#terminal !== undefined) this.#request.log.info(this.#fields(reason), 'client was cut before it had read the end of its stream')
    this.#close(reason)
    cutResponse(this.#reply)
  }

  override pipe<T extends NodeJS.WritableStream> (destination: T, options?: { end?: boolean }): T {
    const { raw: response } = this.#reply
    if (destination as unknown !== response || options?.end === false) return super.pipe(destination, options)
    this.#open(response)
    return destination
  }

  override _read (): void {
    if (this.#sink !== undefined) {
      this.#onDrain()
      return
    }
    this.#open({
      write: (chunk, encoding) => this.push(chunk, encoding),
      end: text => {
        this.push(text)
        this.push(null)
      }
    })
  }

  override _destroy (error: Error | null, callback: (error?: Error | null) => void): void {
    // After a clean end what was written may still be on its way: the response's own end counts then.
    if (error !== null || this.#terminal === undefined) this.#onClose()
    callback(error)
  }

  #pull (): void {
    if (this.#pulling || this.#resting || this.#terminal !== undefined || this.#isClosed) return
    this.#pulling = true
    this.#source.pull()
  }

  // Decides what follows a frame: the next pull, a write first, or a turn of the event loop for others.
  #advance (length: number): void {
    if (this.#sink === undefined) return
    // The first frame after a flush that was scheduled: it came in a turn of its own.
    if (!this.#flushScheduled) this.#beginTurn()
    this.#turnLength += length
    if (this.#turnLength >= chunkLength || this.#turn.isOver()) {
      this.#flush()
      this.#rest()
      return
    }
    if (this.blockedAt === undefined) this.#pull()
  }

  #beginTurn (): void {
    this.#turn.begin()
    this.#turnLength = 0
    this.#flushScheduled = true
    afterMicrotasks(() => this.#onFlush())
  }

  #rest (): void {
    if (this.#resting) return
    this.#resting = true
    inLaterTurn(() => this.#onTurn())
  }

  #onTurn (): void {
    this.#resting = false
    this.#beginTurn()
    if (this.blockedAt === undefined) this.#pull()
  }

  #onDrain (): void {
    this.blockedAt = undefined
    this.#flush()
    if (this.blockedAt === undefined) this.#rest()
  }

  #onFlush (): void {
    this.#flushScheduled = false
    this.#flush()
  }

  #flush (): void {
    if (this.#buffer === '' || this.blockedAt !== undefined || this.#isClosed || this.#sink === undefined) return
    const text = this.#buffer
    this.#buffer = ''
    this.lastWriteAt = performance.now()
    if (!this.#send(this.#sink, text)) {
      this.blockedAt = this.lastWriteAt
      // Of this Readable `_read` tells.
      if (this.#sink === this.#reply.raw) this.#reply.raw.once('drain', this.#drainListener = () => this.#onDrain())
    }
  }

  #send (sink: Sink, text: string): boolean {
    // What was written before is on the socket, the response's head too.
    const hasBegun = this.#bytes > 0
    // Node 26 counts bytes to decide on a drain, and its socket characters to tell of one: for text of several bytes each it may never come.
    if (this.#count(text) > text.length) return sink.write(Buffer.from(text))
    if (hasBegun && sink === this.#reply.raw && writeOneChunk(this.#reply.raw, text)) return true
    // ASCII as Latin-1, which Node neither measures nor encodes once more.
    return sink.write(text, 'latin1')
  }

  #commitInTime (): void {
    // A longer one waits for the first yield.
    if (this.#onCommit === undefined || this.#commitAfterMs > maxTimeoutMs) return
    this.#commitTimer = setTimeout(() => this.#commit(), this.#commitAfterMs)
  }

  #commit (): void {
    if (this.#onCommit === undefined) return
    this.#clearCommitTimer()
    this.#onCommit.resolve()
    this.#onCommit = undefined
  }

  // Not kept: a stream may live for days.
  #clearCommitTimer (): void {
    clearTimeout(this.#commitTimer)
    this.#commitTimer = undefined
  }

  #open (sink: Sink): void {
    // The client may have left while a hook was at work.
    if (this.#isClosed) return
    this.#sink = sink
    this.lastWriteAt = performance.now()
    this.#replies.add(this)
    if (this.#terminal !== undefined) {
      this.#end()
      return
    }
    this.#onTurn()
    // Who reads from the newest frame on gets the head of the answer now, and not with the next frame.
    if (this.#buffer === '' && this.#bytes === 0 && this.#terminal === undefined) this.#buffer = this.#source.heartbeat
  }

  // Not a child logger for one line.
  #fields (reason: EndReason): Record<string, unknown> {
    const { streamId, command } = this.#source
    return { streamId, command, reason }
  }

  #end (): void {
    const text = this.#buffer + this.#terminal!
    this.#buffer = ''
    // From here on the response waits for its reader alone.
    this.blockedAt ??= performance.now()
    this.#sink!.end(text)
    this.#count(text)
  }

  /** Returns the text's length in bytes. */
  #count (text: string): number {
    const length = Buffer.byteLength(text)
    this.#frames = this.#source.frames
    this.#bytes += length
    return length
  }

  readonly #onClose = (): void => {
    // Where the stream was never asked for and there was an answer, a hook has failed or sent something else, or a timeout was over.
    this.#close(this.#sink === undefined && hasAnswer(this.#reply) ? 'cancelled' : 'client-closed')
  }

  #close (reason: EndReason): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#clearCommitTimer()
    this.#replies.delete(this)
    this.#stopListening?.()
    if (this.#drainListener !== undefined) this.#reply.raw.off('drain', this.#drainListener)
    this.#buffer = ''
    this.#onCommit?.resolve()
    this.#onCommit = undefined
    this.#source.close(this.#terminal === undefined ? reason : undefined)
  }
}
