import { useEffect, useState } from 'react'

const copiedMs = 2_000

/** The same call in a terminal. */
export function CurlLine ({ children }: { readonly children: string }) {
  const [copied, setCopied] = useState<string>()
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(children)
    setCopied(children)
  }
  useEffect(() => {
    if (copied === undefined) return
    const timer = setTimeout(() => setCopied(undefined), copiedMs)
    return () => clearTimeout(timer)
  }, [copied])
  return (
    <div className='curl'>
      <code tabIndex={0} role='group' aria-label='The same in a terminal'>{children}</code>
      {/* Pages without TLS have no clipboard, unless they are local. */}
      {'clipboard' in navigator && <button type='button' className='quiet' onClick={() => { copy().catch(() => {}) }}>{copied === children ? 'Copied' : 'Copy'}</button>}
    </div>
  )
}

/** Writes a POST for a shell. */
export function curlPost (path: string, input: object): string {
  // A single quote ends the shell's quoted text: it stands in a text of its own.
  return `curl -N ${location.origin}${path} -H 'content-type: application/json' -d '${JSON.stringify(input).replaceAll("'", "'\\''")}'`
}
