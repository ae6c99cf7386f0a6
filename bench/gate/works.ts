/** What a figure is about: streams of so many events. */
export interface Work {
  readonly name: 'event' | 'short stream' | 'first event'
  readonly streams: number
  readonly count: number
}

export const works: readonly Work[] = [
  { name: 'event', streams: 16, count: 2_500 },
  { name: 'short stream', streams: 80, count: 10 },
  { name: 'first event', streams: 80, count: 1 }
]
