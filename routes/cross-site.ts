import type { FastifyRequest } from 'fastify'
import { CrossSiteError } from '../lib/errors.js'

// How browsers say, and said, that nobody has asked for the answer yet.
const purposes = ['sec-purpose', 'purpose', 'x-purpose', 'x-moz'] as const

/**
 * Refuses a request that another site's page has made, or that a browser makes ahead of its user: a browser sends it with the user's
 * cookies and asks nobody first. Programs that are no browsers send none of these headers.
 * @see https://www.w3.org/TR/fetch-metadata/
 */
export function refuseCrossSite ({ headers, host }: FastifyRequest): void {
  const site = headers['sec-fetch-site']
  if (purposes.some(name => /prefetch|prerender|preview/i.test(String(headers[name] ?? '')))) throw new CrossSiteError('ahead of its user')
  if (site !== undefined) {
    if (site !== 'same-origin' && site !== 'none') throw new CrossSiteError('from another site')
    return
  }
  // Without TLS browsers send no Sec-Fetch-Site, but a page's script sends its origin.
  const { origin } = headers
  if (origin !== undefined && !isOriginOf(origin, host)) throw new CrossSiteError('from another origin')
}

// The scheme is the origin's in both, so that its default port is one and the same with and without its number. Whether the request
// came by that scheme cannot be known: a proxy may have taken the TLS away.
function isOriginOf (origin: string, host: string): boolean {
  try {
    const page = new URL(origin)
    return page.host !== '' && page.host === new URL(`${page.protocol}//${host}`).host
  } catch {
    // `Origin: null` of a sandboxed page.
    return false
  }
}
