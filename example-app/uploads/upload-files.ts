import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { Handler } from '../../index.js'
import { NewestValues } from '../newest-values.js'
import type { UploadFiles, UploadState } from './contracts.js'
import type { UploadFolder } from './upload-folder.js'

/** A file in a request, to be read to its end before the next one can be. */
export interface IncomingFile {
  readonly name: string
  readonly body: Readable
}

const idBytes = 16
const pauseMs = 100

/** Takes one file after the other, and tells how much of it has arrived while it does. */
export function uploadFilesTo (folder: UploadFolder): Handler<typeof UploadFiles> {
  return async function * uploadFiles ({ files }, { signal }) {
    const result = { files: 0, sizeBytes: 0 }
    for await (const { name, body } of files) {
      const uploadId = randomBytes(idBytes).toString('hex')
      const states = new NewestValues<string, UploadState>({ signal, pauseMs })
      const onChange = (state: UploadState): void => { if (state.uploadId === uploadId) states.push(uploadId, state) }
      const onAbort = (): void => { body.destroy(signal.reason) }
      folder.on('change', onChange)
      signal.addEventListener('abort', onAbort)
      // The body arrives beside the loop: a reader who takes his time does not hold it up, and what he misses is told by what follows.
      const arriving = folder.receive(uploadId, name, body)
      const arrived = arriving.then(() => {}, () => {}).finally(() => states.end())
      try {
        for await (const { state, receivedBytes } of states) {
          if (state === 'incomplete') yield { name, uploadId, state, receivedBytes }
        }
        const receivedBytes = await arriving
        yield { name, uploadId, state: 'complete' as const, receivedBytes }
        result.files++
        result.sizeBytes += receivedBytes
      } finally {
        folder.off('change', onChange)
        signal.removeEventListener('abort', onAbort)
        body.destroy()
        // Until nothing is left of what was not complete.
        await arrived
      }
    }
    return result
  }
}
