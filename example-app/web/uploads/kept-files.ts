/** What a page needs to go on with an upload of the page before it. */
export interface KeptFile {
  readonly uploadId: string
  readonly name: string
  readonly sizeBytes: number
  readonly addedAt: number
  /** Until the server has all of it. */
  readonly file?: File | undefined
  /** Whether the server may know of it. */
  readonly begun?: boolean
}

const store = 'files'

/** Files that outlive the page, in IndexedDB, which takes `File` objects as they are. Where a browser keeps nothing, nothing is remembered. */
export const keptFiles = {
  async all (): Promise<KeptFile[]> {
    const files = await transaction<KeptFile[]>('readonly', files => files.getAll()).catch(() => [])
    return files.sort((a, b) => a.addedAt - b.addedAt)
  },
  /** As the tab that has changed it last has left it; undefined where that was forgotten. */
  async find (uploadId: string): Promise<KeptFile | undefined> {
    return await transaction<KeptFile | undefined>('readonly', files => files.get(uploadId))
  },
  /** @returns whether the browser has taken it */
  async keep (file: KeptFile): Promise<boolean> {
    return await transaction('readwrite', files => files.put(file)).then(() => true, () => false)
  },
  async forget (uploadId: string): Promise<void> {
    await transaction('readwrite', files => files.delete(uploadId)).catch(() => {})
  }
}

async function transaction<T> (mode: IDBTransactionMode, ask: (files: IDBObjectStore) => IDBRequest): Promise<T> {
  const opening = indexedDB.open('uploads', 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(store, { keyPath: 'uploadId' })
  const database = await resultOf<IDBDatabase>(opening)
  try {
    const transaction = database.transaction(store, mode)
    const result = await resultOf<T>(ask(transaction.objectStore(store)))
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve
      transaction.onabort = () => reject(transaction.error)
    })
    return result
  } finally {
    database.close()
  }
}

async function resultOf<T> (request: IDBRequest): Promise<T> {
  return await new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
