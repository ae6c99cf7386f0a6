import { useEffect, useInsertionEffect, useMemo, useRef, useSyncExternalStore } from 'react'
import type { Client, StreamOptions } from '../client/client.js'
import type { ClientInput, ClientProgress, ClientResult, Contracts } from '../client/contracts.js'
import { RunMemory } from './run-memory.js'
import type { StreamSnapshot } from './stream-run.js'
import { StreamStore } from './stream-store.js'
import type { StreamStatus } from './stream-store.js'

/** Options of `useStream`. */
export interface UseStreamOptions {
  /** How many of the newest progress `progress` holds: a page that shows all of a long stream would be slower with each. @default 10_000 */
  readonly keep?: number
  /**
   * Remembers the run under this name in `sessionStorage`, its input included until the server has told the stream's url, so that the page goes
   * on with it after a reload. Without a name nothing is remembered. Only for routes that keep their streams.
   */
  readonly resume?: string | undefined
}

/** A stream as a component sees it, and what the component does with it. The functions stay the same from one rendering to the next. */
export interface StreamHandle<Input, Progress, Result> extends StreamSnapshot<Progress, Result> {
  /**
   * Calls the command, and leaves the call before. Returns a promise of the result, which may be left alone: an error is in `error` as well, and
   * no unhandled rejection.
   */
  start (input: Input, options?: StreamOptions): Promise<Result>
  /** Cancels the command. Resolves when the server has said how it ended; never rejects. */
  cancel (): Promise<void>
  /** Leaves the stream, forgets it and what it has told. Cancels nothing: one that the server keeps goes on. */
  reset (): void
}

const defaultKeep = 10_000

/**
 * Calls a command from a component and renders its progress, once a frame of the screen at most. A component that goes away leaves
 * its stream: one that the server keeps goes on, another ends. So does one whose `name`, `keep` or `resume` changes.
 */
export function useStream<C extends Contracts, Name extends keyof C & string> (
  client: Client<C>, name: Name, { keep = defaultKeep, resume }: UseStreamOptions = {}
): StreamHandle<ClientInput<C[Name]>, ClientProgress<C[Name]>, ClientResult<C[Name]>> {
  // A client that is made anew by each rendering would otherwise end its stream by the next.
  const current = useRef(client)
  useEffect(() => { current.current = client })
  const store = useMemo(() => new StreamStore<ClientInput<C[Name]>, ClientProgress<C[Name]>, ClientResult<C[Name]>>({
    start: (input, options) => current.current.stream(name, input, options),
    attach: (url, lastEventId) => current.current.attach<Name>(url, { lastEventId }),
    // By `send`, because a stream's status is JSON at its url: what it answers is no result of the command.
    statusOf: async url => await current.current.send(name, {} as ClientInput<C[Name]>, { method: 'GET', url }) as unknown as StreamStatus
  }, { keep, memory: resume === undefined ? undefined : new RunMemory(`${name} ${resume}`) }), [name, keep, resume])
  // Not with the effect below, whose end StrictMode calls for a component that stays.
  useInsertionEffect(() => () => store.close(), [store])
  useEffect(() => {
    store.resume()
    return () => store.leave()
  }, [store])
  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot, store.serverSnapshot)
  return useMemo(() => {
    const { start, cancel, reset } = store
    return { ...snapshot, start, cancel, reset }
  }, [snapshot, store])
}
