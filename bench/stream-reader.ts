// Every event's JSON begins with its number, whatever frames a server puts around it.
const mark = '"n":'
const markBytes = Buffer.from(mark)
// A body that is sent in chunks ends with an empty one. One with a length, as the mediator sends when all is ready at once, ends with its last frame.
const ends = ['\r\n0\r\n\r\n', 'data: null\n\n']
const longestEnd = Math.max(...ends.map(({ length }) => length))

/** Counts the events of a response as its bytes arrive. It does not parse frames and chunks, so that it costs little beside a server. */
export class StreamReader {
  #events = 0
  #last = ''

  get events (): number {
    return this.#events
  }

  get ended (): boolean {
    return ends.some(end => this.#last.endsWith(end))
  }

  read (bytes: Buffer): void {
    const seam = this.#last.slice(1 - mark.length) + bytes.toString('latin1', 0, mark.length - 1)
    if (seam.includes(mark)) this.#events++
    for (let at = bytes.indexOf(markBytes); at !== -1; at = bytes.indexOf(markBytes, at + mark.length)) this.#events++
    this.#last = (this.#last + bytes.toString('latin1', Math.max(0, bytes.length - longestEnd))).slice(-longestEnd)
  }
}
