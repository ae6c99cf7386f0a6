// What browsers and Node have in common of it.
interface Port {
  onmessage: () => void
  postMessage (message: null): void
  close (): void
}

/** Resolves when the page has had a turn. Not by a timer: pages in the background have one a second. */
export function turn (): Promise<void> {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel() as unknown as { readonly port1: Port, readonly port2: Port }
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}
