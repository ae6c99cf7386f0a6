import { useState } from 'react'

/** Takes files by the browser's own dialog, and what is dropped on it. */
export function FileDrop ({ onFiles }: { readonly onFiles: (files: File[]) => void }) {
  const [isOver, setOver] = useState(false)
  return (
    <div
      className='drop' data-over={isOver}
      onDragOver={event => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={event => {
        event.preventDefault()
        setOver(false)
        onFiles([...event.dataTransfer.files])
      }}
    >
      <label htmlFor='files'>Pick files, or drop them here</label>
      <input
        id='files' type='file' multiple onChange={event => {
          onFiles([...event.target.files!])
          // The same file can be picked again.
          event.target.value = ''
        }}
      />
    </div>
  )
}
