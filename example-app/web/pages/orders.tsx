import { useEffect, useState } from 'react'
import { useStream } from '../../../lib/react/index.js'
import type { JournalEntry } from '../../orders/journal.js'
import { Bar } from '../bar.js'
import { client } from '../client.js'
import { CurlLine, curlPost } from '../curl-line.js'
import { count, euros } from '../format.js'
import { useRunFocus } from '../run-focus.js'
import { StreamStatus, isRunning } from '../stream-status.js'

const products = ['lamp', 'clock', 'kettle', 'rug', 'chair'] as const
const amounts = [3, 10, 30]

// An order's id is used once.
function newOrders (amount: number) {
  const batch = Date.now().toString(36).toUpperCase()
  return Array.from({ length: amount }, (_, index) => ({
    orderId: `${batch}-${index + 1}`,
    email: `customer${index + 1}@example.com`,
    items: [{ product: products[index % products.length]!, quantity: 1 + index % 3 }]
  }))
}

export default function Orders () {
  const { start, cancel, count: processed, latest, result, status, error } = useStream(client, 'process-orders')
  const [orders, setOrders] = useState(() => newOrders(10))
  // Cancelled ones as well, and those of which nothing was heard: some of them may be paid for.
  const [started, setStarted] = useState<typeof orders>()
  const effects = useJournal(processed, status)
  const running = isRunning(status)
  const focus = useRunFocus(running)
  const ids = new Set(orders.map(({ orderId }) => orderId))
  return (
    <>
      <p>Each order is one frame of the stream. Four event handlers follow from it, three of them at once, and the handler goes on with the next order
        in the meantime. The stream is complete when all of them are.
      </p>
      <form onSubmit={event => {
        event.preventDefault()
        setStarted(orders)
        void start({ orders })
      }}
      >
        <fieldset>
          <legend>Orders</legend>
          <div className='choices'>
            {amounts.map(amount => (
              <label key={amount}>
                <input type='radio' name='amount' checked={orders.length === amount} disabled={running} onChange={() => setOrders(newOrders(amount))} /> {amount}
              </label>
            ))}
          </div>
        </fieldset>
        <p className='buttons'>
          <button disabled={running || orders === started}>Process</button>
          <button ref={focus.cancel} type='button' className='quiet' disabled={!running} onClick={() => { void cancel() }}>Cancel</button>
          <button ref={focus.next} type='button' className='quiet' disabled={running} onClick={() => setOrders(newOrders(orders.length))}>New orders</button>
        </p>
      </form>
      <StreamStatus status={status} error={error}>
        {result !== undefined && `Done: ${count(result.processed, 'order')}, ${euros(result.totalCents)}.`}
      </StreamStatus>
      {status !== 'idle' && <Bar label='Orders' value={processed} max={orders.length}>{latest?.orderId}</Bar>}
      <Effects entries={effects.filter(({ orderId }) => ids.has(orderId))} />
      <h2>In a terminal</h2>
      <CurlLine>{curlPost('/commands/process-orders', { orders: orders.slice(0, 3) })}</CurlLine>
    </>
  )
}

/** What was done for the last orders: asked for with each frame of orders, and at the end. */
function useJournal (processed: number, status: string): readonly JournalEntry[] {
  const [entries, setEntries] = useState<readonly JournalEntry[]>([])
  useEffect(() => {
    if (processed === 0) return
    const controller = new AbortController()
    const ask = async (): Promise<void> => {
      const response = await fetch('/orders/journal', { signal: controller.signal })
      setEntries(await response.json())
    }
    ask().catch(() => {})
    return () => controller.abort()
  }, [processed, status])
  return entries
}

const kinds = ['analytics', 'inventory', 'email', 'audit']
const laneHeight = 6
const rowHeight = kinds.length * laneHeight + 6

/** When each handler ran for each order, as bars on one line of time: a lane for each handler. */
function Effects ({ entries }: { readonly entries: readonly JournalEntry[] }) {
  if (entries.length === 0) return null
  const from = Math.min(...entries.map(({ startedAtMs }) => startedAtMs))
  const span = Math.max(...entries.map(({ endedAtMs }) => endedAtMs)) - from
  const orderIds = [...new Set(entries.map(({ orderId }) => orderId))]
  return (
    <section aria-labelledby='effects'>
      <h2 id='effects'>What ran beside what</h2>
      <p className='legend'>{kinds.map(effect => <span key={effect} data-effect={effect}>{effect}</span>)}</p>
      <svg
        className='effects' viewBox={`0 0 1000 ${orderIds.length * rowHeight}`} preserveAspectRatio='none' role='img' height={orderIds.length * rowHeight}
        aria-label={`${count(entries.length, 'effect')} of ${count(orderIds.length, 'order')} within ${Math.round(span)} ms`}
      >
        {entries.map(({ effect, orderId, startedAtMs, endedAtMs }) => (
          <rect
            key={`${orderId} ${effect}`} data-effect={effect} x={(startedAtMs - from) / span * 1000} y={orderIds.indexOf(orderId) * rowHeight + kinds.indexOf(effect) * laneHeight + 3}
            width={Math.max((endedAtMs - startedAtMs) / span * 1000, 2)} height={laneHeight - 1}
          ><title>{`${orderId}: ${effect}, ${Math.round(endedAtMs - startedAtMs)} ms`}</title>
          </rect>
        ))}
      </svg>
    </section>
  )
}
