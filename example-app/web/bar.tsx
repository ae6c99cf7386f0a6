/** A progress bar with its name. Without a value it is on its way, and nobody knows how far. */
export function Bar ({ label, value, max, children }: {
  readonly label: string, readonly value?: number | undefined, readonly max: number, readonly children?: React.ReactNode
}) {
  return (
    <label className='bar'>
      <span>{label}</span> <small>{children}</small>
      <progress value={value} max={max} />
    </label>
  )
}
