import { useCallback, useEffect, useRef, useState } from 'react'

/** How a native EventSource stands. */
export interface EventSourceHandle {
  readonly status: 'idle' | 'connecting' | 'open' | 'complete' | 'failed' | 'cancelled'
  /** The newest event of each kind, in the order in which the kinds were seen first. */
  readonly latest: Readonly<Record<string, any>>
  /** What the server said of its failure. */
  readonly error: string | undefined
  open (url: string): void
  close (): void
}

/**
 * Reads a stream by the browser's own EventSource, without any library. `names` are the events of its progress. It has one connection at a time,
 * which ends with the component: EventSource alone would come back for ever, so that it is closed at the last frame. `kindOf` tells what an event is
 * about, where its name does not say it.
 */
export function useEventSource (names: readonly string[], kindOf = (event: string, _data: any): string => event): EventSourceHandle {
  const source = useRef<EventSource>()
  const [state, setState] = useState<Omit<EventSourceHandle, 'open' | 'close'>>({ status: 'idle', latest: {}, error: undefined })

  const close = useCallback(() => {
    source.current?.close()
    setState(state => state.status === 'open' || state.status === 'connecting' ? { ...state, status: 'cancelled' } : state)
  }, [])

  const open = (url: string): void => {
    source.current?.close()
    const opened = new EventSource(url)
    source.current = opened
    setState({ status: 'connecting', latest: {}, error: undefined })
    for (const event of ['start', ...names, 'complete', 'failed']) {
      opened.addEventListener(event, message => {
        const data = JSON.parse(message.data)
        const ended = event === 'complete' || event === 'failed'
        if (ended) opened.close()
        setState(({ latest }) => ({
          status: event === 'complete' || event === 'failed' ? event : 'open',
          latest: { ...latest, [kindOf(event, data)]: data },
          error: event === 'failed' ? data.detail ?? data.title : undefined
        }))
      })
    }
    opened.addEventListener('error', () => {
      // After a refusal a browser gives up, and tells a page nothing of why. After a cut it comes back by itself.
      const refused = opened.readyState === EventSource.CLOSED
      setState(state => ({ ...state, status: refused ? 'failed' : 'connecting', error: refused ? 'the server has refused the stream' : undefined }))
    })
  }

  useEffect(() => close, [close])
  return { ...state, open, close }
}
