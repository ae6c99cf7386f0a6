import { createElement as h } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from '../../lib/client/index.js'
import { useStream } from '../../lib/react/index.js'
import type { Scan } from './contract.js'
import { FrameCounter } from './frame-counter.js'

/** What a page has seen of one stream. */
export interface PageFigures {
  readonly events: number
  readonly seconds: number
  readonly framesPerSecond: number
  readonly longestGapMs: number
}

const shownRows = 100
const client = createClient<{ scan: typeof Scan }>({ baseUrl: '/' })
let measure: (input: { events: number, perSecond: number }) => Promise<PageFigures>

// What a page shows of a long run: how far it is, and the newest of what it was told.
function Page () {
  const { start, status, count, latest, progress } = useStream(client, 'scan')
  measure = async input => {
    const frames = new FrameCounter()
    await start(input)
    // With the rendering that shows the end.
    while ((globalThis as unknown as { document: { title: string } }).document.title !== `${input.events} complete`) await frames.next()
    return { events: input.events, ...frames.stop() }
  }
  Object.assign(globalThis, { measure })
  ;(globalThis as unknown as { document: { title: string } }).document.title = `${count} ${status}`
  return h('main', null,
    h('p', { role: 'status' }, `${status}, ${count} files, the last ${latest?.path ?? ''}`),
    h('table', null, h('tbody', null, progress.slice(-shownRows).map(({ n, path, status, sizeBytes }) =>
      h('tr', { key: n }, h('td', null, path), h('td', null, status), h('td', null, sizeBytes))))))
}

createRoot((globalThis as unknown as { document: { getElementById (id: string): never } }).document.getElementById('root')).render(h(Page))
