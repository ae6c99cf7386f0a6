import { readFrames } from '../../lib/testing/index.js'
import type { Answer } from './http-client.js'

// Every header that an answer of this server may have. Any other one was made by an attacker.
const allowed = new Set(['cache-control', 'connection', 'content-length', 'content-type', 'date', 'keep-alive', 'retry-after', 'transfer-encoding', 'vary', 'x-accel-buffering', 'x-content-type-options'])
const ofAccepted = new Set(['location', 'preference-applied'])
const stack = /\n\s*at |node_modules|\.[jt]s:\d|file:\/\//

/** What is wrong with an answer of a command route, whatever was asked. */
export function faultsOf ({ status, headers, body, rest }: Answer): string[] {
  const faults: string[] = []
  const fault = (found: boolean, text: string): void => { if (found) faults.push(text) }
  const names = headers.map(([name]) => name)
  const get = (name: string): string => headers.find(([other]) => other === name)?.[1] ?? ''
  for (const name of names) fault(!allowed.has(name) && !(status === 202 && ofAccepted.has(name)), `has the header ${name}`)
  fault(new Set(names).size < names.length, 'has a header twice')
  fault(rest !== '', 'is followed by more')
  fault(stack.test(body.toString('latin1')) && status !== 200, 'shows a stack')
  fault(!/\bno-store\b/.test(get('cache-control')), 'may be cached')
  fault(get('x-content-type-options') !== 'nosniff', 'may be sniffed')
  const type = get('content-type')
  if (status === 204) fault(body.length > 0 || type !== '', '204 has a body')
  else if (status >= 400) fault(type !== 'application/problem+json', `is no problem but ${type}`)
  else fault(!['text/event-stream', 'application/x-ndjson', 'application/json; charset=utf-8'].includes(type), `has the type ${type}`)
  return faults
}

/** The frames of an answer by their types, an envelope opened. Throws where there is anything that the protocol does not know. */
export function framesOf ({ body }: Answer): Array<[name: string, data: any]> {
  return readFrames(utf8(body)).map(({ event, data }) => {
    if (event !== undefined) return [event, data]
    const { type, ...members } = data
    const names = Object.keys(members)
    // `{ type, data }` of progress, and of a result that is no object.
    return [type, names.length === 1 && names[0] === 'data' ? members.data : type === 'complete' && names.length === 0 ? {} : members]
  })
}

/** What a decoder replaces was no UTF-8. */
export function utf8 (bytes: Buffer): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
}
