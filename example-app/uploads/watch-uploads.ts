import type { Handler } from '../../index.js'
import { NewestValues } from '../newest-values.js'
import type { UploadState, WatchUploads } from './contracts.js'
import type { UploadFolder } from './upload-folder.js'

const pauseMs = 100

/** A source that pushes: uploads change as their bodies arrive, whoever looks on. */
export function watchUploadsIn (folder: UploadFolder): Handler<typeof WatchUploads> {
  return async function * watchUploads ({ uploadIds }, { signal }) {
    const open = new Set(uploadIds)
    const result = { complete: 0, givenUp: 0 }
    const states = new NewestValues<string, UploadState>({ signal, pauseMs })
    const onChange = (state: UploadState): void => {
      if (!open.has(state.uploadId)) return
      states.push(state.uploadId, state)
      if (state.state !== 'complete' && state.state !== 'given-up') return
      open.delete(state.uploadId)
      result[state.state === 'complete' ? 'complete' : 'givenUp']++
      if (open.size === 0) states.end()
    }
    // First the listener, then what there is already: nothing falls between them.
    folder.on('change', onChange)
    try {
      for (const uploadId of [...open]) onChange(folder.stateOf(uploadId))
      yield * states
      return result
    } finally {
      folder.off('change', onChange)
    }
  }
}
