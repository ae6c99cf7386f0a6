/** Sends a file as a raw body. Not by `fetch`, which does not tell how much of a body has left. @throws Error with the server's words */
export async function putFile (url: string, file: Blob, onProgress: (bytes: number) => void, signal: AbortSignal): Promise<void> {
  const request = new XMLHttpRequest()
  await new Promise<void>((resolve, reject) => {
    request.upload.onprogress = ({ loaded }) => onProgress(loaded)
    request.onload = () => {
      if (request.status < 300) resolve()
      else reject(new Error(detailOf(request.responseText) ?? `The server has answered with ${request.status}`))
    }
    request.onerror = () => reject(new Error('The connection was lost'))
    request.onabort = () => reject(new Error('Cancelled'))
    signal.addEventListener('abort', () => request.abort(), { once: true })
    request.open('PUT', url)
    request.setRequestHeader('content-type', 'text/csv')
    request.send(file)
  })
}

function detailOf (body: string): string | undefined {
  try {
    const { detail } = JSON.parse(body)
    return typeof detail === 'string' ? detail : undefined
  } catch {
    return undefined
  }
}
