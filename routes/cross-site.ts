import type { FastifyRequest } from 'fastify'
import { CrossSiteError } from '../lib/errors.js'

/**
 * Refuses a request that another site's page has made, or that a browser makes ahead of its user: a browser sends it with the user's
 * cookies and asks nobody first. Programs that are no browsers send none of these headers.
 * @see https://www.w3.org/TR/fetch-metadata/
 */
export function refuseCrossSite ({ headers, host }: FastifyRequest): void {
  const site = headers['sec-fetch-site']
  if (String(headers['sec-purpose'] ?? '').includes('prefetch')) throw new CrossSiteError('ahead of its user')
  if (site !== undefined) {
    if (site !== 'same-origin' && site !== 'none') throw new CrossSiteError('from another site')
    return
  }
  // Without TLS browsers send no Sec-Fetch-Site, but a page's script sends its origin.
  const { origin } = headers
  if (origin !== undefined && hostOf(origin) !== host.toLowerCase()) throw new CrossSiteError('from another origin')
}

function hostOf (origin: string): string | undefined {
  try {
    return new URL(origin).host
  } catch {
    // `Origin: null` of a sandboxed page.
    return undefined
  }
}
