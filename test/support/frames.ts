/** One server-sent event, as it was written. */
export interface Frame {
  readonly event?: string
  readonly id: string
  readonly data: any
}

/** Reads a whole text/event-stream the way the standard splits it, and fails on anything that this project never writes. */
export function parseFrames (text: string): Frame[] {
  const blocks = text.split('\n\n')
  if (blocks.pop() !== '') throw new Error(`the stream does not end with an empty line: ${JSON.stringify(text.slice(-80))}`)
  return blocks.filter(block => block !== ':').map(block => {
    const fields = block.split('\n').map(line => {
      const match = /^(event|id|retry|data): (.*)$/s.exec(line)
      if (match === null) throw new Error(`not a field: ${JSON.stringify(line)}`)
      return [match[1]!, match[2]!] as const
    })
    const names = fields.map(([name]) => name).join(' ')
    if (!/^(?:event )?id (?:retry )?data$/.test(names)) throw new Error(`fields out of order: ${names}`)
    const { event, id, data } = Object.fromEntries(fields)
    return { ...(event !== undefined && { event }), id: id!, data: JSON.parse(data!) }
  })
}

/** The names of the frames, in order. */
export function namesOf (frames: readonly Frame[]): Array<string | undefined> {
  return frames.map(({ event }) => event)
}
