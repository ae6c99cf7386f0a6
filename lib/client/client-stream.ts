import { delayOf } from './backoff.js'
import { ClientError, problemError } from './client-error.js'
import type { ClientProblem } from './client-error.js'
import type { ClientSettings } from './client-options.js'
import { createEventParser } from './event-parser.js'
import { defaultSilenceMs, json, jsonOf, send, textOf } from './exchange.js'
import type { ClientRequest } from './exchange.js'
import { waitFor } from './wait-for.js'

/**
 * How a stream stands. It is `idle` until somebody reads it, and ends as `complete`, as `failed` (the server said so, or what the caller gave
 * could not be sent), as `truncated` (its end was not seen), or as `cancelled`.
 */
export type ClientStreamState = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'complete' | 'failed' | 'truncated' | 'cancelled'

/** What is told before a stream waits to connect again. */
export interface Reconnect {
  /** From 1, counted since the last new progress. */
  readonly attempt: number
  readonly delayMs: number
  /** Why. */
  readonly error: ClientError
}

/**
 * A command's stream as its client sees it: an async iterable of its progress, to be read once. Nothing is sent before the first read.
 * Connections that are lost are made again where that runs nothing twice. Leaving the loop leaves the stream, and cancels nothing.
 */
export interface ClientStream<Progress, Result> extends AsyncIterable<Progress> {
  /**
   * What the command returned. Asking for it without iterating reads the stream and drops its progress. Rejects with a
   * `ClientError`, or with the reason of the caller's signal; a rejection that nobody reads is no unhandled one.
   */
  readonly result: Promise<Result>
  /** How it stands. */
  readonly state: ClientStreamState
  /** The stream's id, once the server has told it. */
  readonly streamId: string | undefined
  /** Where `client.attach` can read it; undefined before the first frame, and where the server does not keep it. */
  readonly url: string | undefined
  /** The id of the last frame that was handed out, for `client.attach`. */
  readonly lastEventId: string | undefined
  /** The server's attempt: where it grows the command has begun again, and what was told before counts no more. */
  readonly attempt: number
  /** Called before each wait for a new connection. What it throws is no error of the stream. */
  onReconnect?: ((reconnect: Reconnect) => void) | undefined
  /** Called after each change of the state. What it throws is no error of the stream. */
  onStateChange?: ((state: ClientStreamState) => void) | undefined
  /**
   * Cancels the command. Where the server keeps the stream it is asked to, and its word on how the stream ended holds; elsewhere the
   * connection is closed, which ends the command. Never rejects: where the server could not be asked, the error of `result` has that as its `cause`.
   */
  cancel (): Promise<void>
}

/** What begins a stream. */
export interface StreamCall {
  /** Makes the request, when the stream is first read. */
  readonly request: () => ClientRequest
  /** Whether the request reads a stream that was begun by another. */
  readonly attached?: boolean
  readonly lastEventId?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** Makes a stream that begins when it is read. It is no class, because browsers would be sent the names of its members as they are. */
export function createStream<Progress, Result> (settings: ClientSettings, call: StreamCall): ClientStream<Progress, Result> {
  let { attached, signal: callerSignal, lastEventId } = call
  let [, streamId, seen = 0] = partsOf(lastEventId)
  // The number of the last frame: 0 before the first, NaN where frames have none.
  let seq = +seen
  let ended: boolean | undefined
  let isRead: boolean | undefined
  let url: URL | undefined
  let silenceMs = defaultSilenceMs
  let retryMs: number | undefined
  // Of the connection that is open: its signal ends whatever is waited for.
  let controller = new AbortController()
  let settle: (result: Result | Promise<never>) => void
  const result = new Promise<Result>(resolve => { settle = resolve })
  result.catch(() => {})

  const setState = (state: ClientStreamState): void => {
    stream.state = state
    // What it throws is an uncaught error, as that of an event's listener.
    queueMicrotask(() => stream.onStateChange?.(state))
  }

  const end = (state: ClientStreamState, outcome: unknown): void => {
    if (ended) return
    ended = true
    setState(state)
    // What the server sends is what the contract says.
    settle(state === 'complete' ? outcome as Result : Promise.reject(outcome))
    controller.abort()
  }

  const fail = (error: unknown): void => {
    end((error as ClientError).kind ?? 'failed', error)
  }

  // Without an id it is the end of the answer, and not of the stream.
  const failBy = (problem: ClientProblem, id: string | undefined): void => {
    fail(problemError(problem.code === 'MEDIATOR_ERR_CANCELLED' ? 'cancelled' : id ? 'failed' : 'truncated', problem))
  }

  // Asks at the stream's url how it has ended, or to end it.
  const ask = async (method?: 'DELETE'): Promise<void> => {
    if (ended || !url) return
    const { signal } = new AbortController()
    const { state, result, problem } = await jsonOf(settings, await send(settings, { url, accept: json, method }, signal, silenceMs), signal)
    if (state === 'completed') end('complete', result)
    else if (problem) failBy(problem, state)
  }

  const onAbort = (): void => {
    // The server is asked before this ends the stream.
    void stream.cancel()
    end('cancelled', callerSignal!.reason)
  }

  // Whether a frame is the next one. One that was seen before is not; one that comes too early is an error.
  const isNew = (isStart: boolean, id: string | undefined): boolean => {
    const [known, itsStream, itsSeq] = partsOf(id)
    // A query that was sent again is another stream.
    if (known ? itsStream !== streamId && (!isStart || (streamId && url)) : !isStart && !streamId) throw new Error(`Unexpected ${id}`)
    if (!known) seq = NaN
    else if (itsStream !== streamId) {
      streamId = itsStream
      seq = 0
    }
    const ahead = +itsSeq! - seq
    if (ahead > 1) throw new ClientError('truncated', 'CLIENT_ERR_GAP')
    if (ahead < 1) return false
    seq++
    lastEventId = id
    return true
  }

  async function * run (): AsyncGenerator<Progress, void> {
    callerSignal?.addEventListener('abort', onAbort)
    try {
      if (callerSignal?.aborted) onAbort()
      const first = call.request()
      let request = !ended && first
      // Whether it may be sent again. A GET may: with the id of a frame it starts no command.
      const repeatable = first.key ?? !first.body
      let failures = 0
      let delayMs: number | undefined
      if (attached) url = first.url
      if (request) setState('connecting')
      while (request) {
        const { signal } = controller = new AbortController()
        try {
          if (delayMs) await waitFor(new Promise(() => {}), signal, delayMs).catch(() => signal.throwIfAborted())
          // How long a command takes until it answers cannot be said.
          const response: Response = await send(settings, request, signal, url ? silenceMs : 0, lastEventId)
          setState('open')
          if (first.accept) end('complete', await jsonOf(settings, response, signal))
          // All frames were seen, by the id that was given.
          if (response.status === 204) await ask()
          const type = response.headers.get('content-type')
          if (!/^text\/event-stream/.test(type!)) throw new Error(`Unexpected ${type}`)
          const parse = createEventParser(settings.maxEventLength, ms => { retryMs = ms })
          for await (const text of textOf(response, signal, () => silenceMs)) {
            for (const { event, id, data: itsText } of parse(text)) {
              // The last frame of an answer has no id where its stream goes on.
              if ((id || event !== 'failed') && !isNew(event === 'start', id)) continue
              const data = JSON.parse(itsText)
              const members = Object(data)
              if (event === 'complete') end(event, data)
              else if (event === 'failed') failBy(members, id)
              else if (event === 'start') {
                streamId ??= members.streamId
                stream.attempt = members.attempt
                // A timer that is longer fires at once (WHATWG HTML §8.6 counts in 32 bits).
                silenceMs = Math.min(3 * members.heartbeatMs || defaultSilenceMs, 2e9)
                // A path, so that our headers go to no other origin.
                if (members.url?.[0] === '/') url = new URL(first.url.origin + members.url)
              } else {
                // What is told at the start of each attempt is nothing new.
                failures = 0
                yield event === 'progress' ? data : { event, data }
              }
              signal.throwIfAborted()
            }
          }
          throw new ClientError('truncated', 'CLIENT_ERR_TRUNCATED', { retryable: true })
        } catch (caught) {
          if (ended) break
          const error = caught as ClientError
          const { code = 'CLIENT_ERR_PROTOCOL', message, problem, retryable } = error
          // Nothing is asked for again where that could run the command again, leave out a frame or repeat one.
          request = seq >= 0 && (url ? { url } : !!repeatable && first)
          delayMs = retryable && request ? delayOf(++failures, retryMs, error.retryAfterMs, settings.reconnect) : 0
          if (!delayMs) {
            // Where a proxy speaks, or frames were seen, nobody knows how the command ends.
            throw new ClientError(problem?.code && !attached && !lastEventId ? 'failed' : 'truncated', code, {
              ...error, retryable: problem?.retryable ?? !!(retryable && request)
            }, message)
          }
          setState('reconnecting')
          queueMicrotask(() => stream.onReconnect?.({ attempt: failures, delayMs: delayMs!, error }))
        } finally {
          controller.abort()
        }
      }
    } catch (error) {
      fail(error)
    } finally {
      callerSignal?.removeEventListener('abort', onAbort)
    }
    await result
  }

  const stream: Writable<ClientStream<Progress, Result>> = {
    state: 'idle',
    attempt: 0,
    get result () {
      queueMicrotask(async () => {
        // A loop that began in this turn is the reader: then this one throws.
        try { for await (const progress of stream) void progress } catch {}
      })
      return result
    },
    get streamId () { return streamId },
    get url () { return url?.href },
    get lastEventId () { return lastEventId },
    async cancel () {
      const cause = await ask('DELETE').catch(error => error)
      fail(new ClientError('cancelled', 'CLIENT_ERR_CANCELLED', { cause }))
    },
    [Symbol.asyncIterator] () {
      if (isRead) throw new TypeError('Read once')
      isRead = true
      const frames = run()
      return {
        next: () => frames.next(),
        return: () => {
          // A generator that waits for the server would return when that has sent something.
          fail(new ClientError('truncated', 'CLIENT_ERR_LEFT'))
          return frames.return()
        }
      }
    }
  }
  return stream
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

/** The whole of an id, its stream and its number; nothing of what is no id of the protocol. */
function partsOf (id?: string): string[] {
  return /^([\w-]{22})\.(\d{1,15})(-\d+)?(\.end)?$/.exec(id!) ?? []
}
