import { useCallback, useEffect, useState } from 'react'
import { count } from './format.js'

/** How many people are in the database. `status` is of what changes them: the number is asked for when that has ended. */
export function PeopleCount ({ status, running }: { readonly status: string, readonly running: boolean }) {
  const [rows, setRows] = useState<number>()
  const [emptied, setEmptied] = useState(0)
  useEffect(() => {
    // The first question loads the database: not before somebody has asked for something.
    if (running || (status === 'idle' && emptied === 0)) return
    const controller = new AbortController()
    const ask = async (): Promise<void> => {
      const response = await fetch('/people', { signal: controller.signal })
      setRows((await response.json()).rows)
    }
    ask().catch(() => {})
    return () => controller.abort()
  }, [status, running, emptied])
  const empty = useCallback(async (): Promise<void> => {
    await fetch('/people', { method: 'DELETE' })
    setEmptied(times => times + 1)
  }, [])
  return (
    <p className='buttons'>
      <button type='button' className='quiet' disabled={running} onClick={() => { empty().catch(() => {}) }}>Empty the table</button>
      <span className='beside' role='status' data-people={rows}>{rows !== undefined && `${count(rows, 'row')} in the database.`}</span>
    </p>
  )
}
