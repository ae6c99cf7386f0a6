import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { MalformedIdempotencyKeyError } from '../lib/errors.js'
import { tooDeepError } from './input-validator.js'

// As many characters as 128 random bits take in base64.
const minPublicLength = 22

/**
 * Reads the `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header), whose quotes may be missing; a browser's
 * EventSource, which sends no headers, has it in its url.
 * @throws MEDIATOR_ERR_MALFORMED_IDEMPOTENCY_KEY
 */
export function idempotencyKeyOf ({ headers }: FastifyRequest, parameters: URLSearchParams): string | undefined {
  const given = new Set(parameters.getAll('idempotencyKey'))
  const header = headers['idempotency-key']
  if (header !== undefined) given.add(unquoted(String(header)))
  if (given.size === 0) return undefined
  const [key] = given
  if (given.size > 1) throw new MalformedIdempotencyKeyError('was given twice')
  if (!/^[!-~]{1,255}$/.test(key!)) throw new MalformedIdempotencyKeyError('must be 1 to 255 visible ASCII characters')
  return key
}

/** Refuses a key that somebody could guess, where whoever knows it may read the stream. */
export function assertUnguessable (key: string): void {
  if (key.length < minPublicLength) throw new MalformedIdempotencyKeyError(`must be at least ${minPublicLength} characters that nobody can guess, such as a UUID`)
}

/** The id of the one stream that a key stands for. */
export function streamIdOf (owner: string, method: string, routePattern: string, key: string): string {
  return sha256(JSON.stringify([owner, method, routePattern, key])).slice(0, 22)
}

/** Tells inputs apart, whatever the order of their members. Throws a validation's error where one is nested too deeply to be compared. */
export function fingerprintOf (input: unknown): string {
  try {
    return sha256(JSON.stringify(input, sorted) ?? '')
  } catch (error) {
    throw error instanceof RangeError ? tooDeepError() : error
  }
}

function sorted (_key: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
}

function unquoted (text: string): string {
  return /^"(.*)"$/s.exec(text)?.[1] ?? text
}

function sha256 (text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
