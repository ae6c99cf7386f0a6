import type { KeptFile } from './kept-files.js'

export interface SendFileOptions {
  readonly signal: AbortSignal
  readonly onPhase: (phase: 'sending' | 'interrupted') => void
  /** Throws where the file is not to be sent any more: it is asked before each attempt after the first. */
  readonly stillWanted: () => Promise<void>
}

const mostDelayMs = 10_000

/** Sends what the server does not have yet of a file, again and again until it has all. Throws where it says no. */
export async function sendFile ({ uploadId, name, file, begun = false }: KeptFile, { signal, onPhase, stillWanted }: SendFileOptions): Promise<void> {
  const url = `/uploads/${uploadId}`
  // What cannot be written in UTF-8, as a half of a surrogate pair, is replaced: no url can hold it.
  const wellFormed = new TextDecoder().decode(new TextEncoder().encode(name))
  const query = `?name=${encodeURIComponent(wellFormed)}`
  let isKnown = begun
  for (let failures = 0; ;) {
    try {
      const offset = isKnown ? await offsetOf(url, signal) : 0
      onPhase('sending')
      isKnown = true
      const response = await fetch(url + query, {
        method: 'PATCH',
        headers: { 'upload-offset': String(offset), 'upload-length': String(file!.size) },
        body: file!.slice(offset),
        signal
      })
      if (response.ok) return
      // Another request was there first: the server says where to go on.
      if (response.status !== 409 && response.status < 502) {
        throw new RefusedError((await response.json().catch(() => undefined))?.detail ?? response.statusText)
      }
    } catch (error) {
      // Also what a browser says where the file was changed, or removed, since it was picked.
      if (signal.aborted || error instanceof RefusedError || !(await canBeRead(file!))) throw error
    }
    onPhase('interrupted')
    await delay(Math.min(mostDelayMs, 500 * 2 ** failures++), signal)
    await stillWanted()
  }
}

class RefusedError extends Error {}

async function offsetOf (url: string, signal: AbortSignal): Promise<number> {
  const response = await fetch(url, { method: 'HEAD', signal })
  // The server has forgotten it, or never knew of it.
  if (response.status === 404) return 0
  if (!response.ok) throw new Error(`HTTP ${response.status}`)
  return Number(response.headers.get('upload-offset'))
}

async function canBeRead (file: File): Promise<boolean> {
  return await file.slice(0, 1).arrayBuffer().then(() => true, () => false)
}

async function delay (ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>(resolve => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    }, { once: true })
  })
  signal.throwIfAborted()
}
