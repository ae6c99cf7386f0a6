import { newKey } from '../new-key.js'
import { keptFiles } from './kept-files.js'
import type { KeptFile } from './kept-files.js'
import { sendFile } from './send-file.js'

export type UploadPhase = 'waiting' | 'sending' | 'interrupted' | 'complete' | 'failed' | 'cancelled'

/** One file, as the page shows it. */
export interface PageUpload {
  readonly uploadId: string
  readonly name: string
  readonly sizeBytes: number
  readonly phase: UploadPhase
  /** In words. */
  readonly error?: string
}

const mostAtOnce = 2

/** Another tab has given the upload up. */
class ForgottenError extends Error {}

/** The uploads of this browser: sends two files at once, and goes on with those of the page before. */
export class Uploader {
  #uploads: readonly PageUpload[] = []
  readonly #files = new Map<string, KeptFile>()
  readonly #sending = new Map<string, AbortController>()
  // What the browser keeps: of these each tab can forget one for all of them.
  readonly #kept = new Set<string>()
  readonly #listeners = new Set<() => void>()

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  readonly snapshot = (): readonly PageUpload[] => this.#uploads

  /** Goes on with what the page before has left. */
  async resume (): Promise<void> {
    for (const kept of await keptFiles.all()) {
      this.#kept.add(kept.uploadId)
      this.#show(kept)
    }
    this.#sendNext()
  }

  async add (files: Iterable<File>): Promise<void> {
    for (const file of files) {
      const kept: KeptFile = { uploadId: newKey(), name: file.name, sizeBytes: file.size, addedAt: Date.now(), file }
      // First, so that it is there after a reload at any moment.
      if (await keptFiles.keep(kept)) this.#kept.add(kept.uploadId)
      this.#show(kept)
    }
    this.#sendNext()
  }

  /** Gives an upload up, on the server too. */
  async cancel (uploadId: string): Promise<void> {
    const { phase } = this.#uploads.find(upload => upload.uploadId === uploadId)!
    if (phase === 'complete' || phase === 'cancelled') return
    this.#sending.get(uploadId)?.abort()
    this.#files.delete(uploadId)
    // Before it is shown, so that it is not there after a reload at any moment, and before the server, by which another tab that sends it hears of it.
    await keptFiles.forget(uploadId)
    this.#change(uploadId, { phase: 'cancelled' })
    // The server forgets it by itself where it cannot be told.
    await fetch(`/uploads/${uploadId}`, { method: 'DELETE' }).catch(() => {})
  }

  async cancelAll (): Promise<void> {
    // The waiting ones first, so that none of them begins.
    const open = this.#uploads.filter(({ phase }) => phase !== 'complete' && phase !== 'cancelled').reverse()
    await Promise.all(open.map(async ({ uploadId }) => await this.cancel(uploadId)))
  }

  /** Takes what has ended from the list. */
  async clear (): Promise<void> {
    const ended = this.#uploads.filter(({ phase }) => hasEnded(phase))
    this.#publish(this.#uploads.filter(({ phase }) => !hasEnded(phase)))
    for (const { uploadId } of ended) await keptFiles.forget(uploadId)
  }

  #show (kept: KeptFile): void {
    if (this.#uploads.some(({ uploadId }) => uploadId === kept.uploadId)) return
    const { uploadId, name, sizeBytes, file } = kept
    if (file !== undefined) this.#files.set(uploadId, kept)
    this.#publish([...this.#uploads, { uploadId, name, sizeBytes, phase: file === undefined ? 'complete' : 'waiting' }])
  }

  #sendNext (): void {
    for (const { uploadId, phase } of this.#uploads) {
      if (this.#sending.size >= mostAtOnce) return
      const kept = this.#files.get(uploadId)
      // One that is about to be cancelled has none.
      if (phase === 'waiting' && kept !== undefined && !this.#sending.has(uploadId)) void this.#send(kept)
    }
  }

  async #send (kept: KeptFile): Promise<void> {
    const { uploadId } = kept
    const controller = new AbortController()
    const { signal } = controller
    this.#sending.set(uploadId, controller)
    try {
      // One tab at a time. Pages without TLS have no locks.
      if ('locks' in navigator) await navigator.locks.request(`upload ${uploadId}`, { signal }, async () => await this.#sendAlone(kept, signal))
      else await this.#sendAlone(kept, signal)
      this.#change(uploadId, { phase: 'complete' })
    } catch (error) {
      if (!signal.aborted) this.#change(uploadId, await this.#ended(uploadId, error))
    } finally {
      this.#files.delete(uploadId)
      this.#sending.delete(uploadId)
      this.#sendNext()
    }
  }

  /** Does what another tab, which had its turn before, has left to be done. */
  async #sendAlone (mine: KeptFile, signal: AbortSignal): Promise<void> {
    const kept = await this.#newest(mine)
    const { uploadId, name, sizeBytes, addedAt, file } = kept
    if (file === undefined || signal.aborted) return
    await keptFiles.keep({ ...kept, begun: true })
    try {
      await sendFile(kept, {
        signal,
        onPhase: phase => this.#change(uploadId, { phase }),
        stillWanted: async () => { await this.#newest(kept) }
      })
      await this.#newest(kept)
      await keptFiles.keep({ uploadId, name, sizeBytes, addedAt })
    } finally {
      // Before it is another tab's turn.
      if (signal.aborted) await keptFiles.forget(uploadId)
    }
  }

  /** What the browser keeps of a file; where it keeps nothing, what this page has. */
  async #newest (mine: KeptFile): Promise<KeptFile> {
    if (!this.#kept.has(mine.uploadId)) return mine
    const kept = await keptFiles.find(mine.uploadId).catch(() => mine)
    if (kept === undefined) throw new ForgottenError()
    return kept
  }

  async #ended (uploadId: string, error: unknown): Promise<Partial<PageUpload>> {
    // A request that was under way when another tab has given the upload up was refused by the server.
    const isForgotten = this.#kept.has(uploadId) && await keptFiles.find(uploadId).then(kept => kept === undefined, () => false)
    if (isForgotten) return { phase: 'cancelled' }
    await keptFiles.forget(uploadId)
    return { phase: 'failed', error: error instanceof Error ? error.message : String(error) }
  }

  #change (uploadId: string, change: Partial<PageUpload>): void {
    this.#publish(this.#uploads.map(upload => upload.uploadId === uploadId && upload.phase !== 'cancelled' ? { ...upload, ...change } : upload))
  }

  #publish (uploads: readonly PageUpload[]): void {
    this.#uploads = uploads
    for (const listener of this.#listeners) listener()
  }
}

export function hasEnded (phase: UploadPhase): boolean {
  return phase === 'complete' || phase === 'failed' || phase === 'cancelled'
}
