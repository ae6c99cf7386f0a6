import type { FastifyRequest } from 'fastify'
import { InvalidOptionsError, OwnerMissingError } from '../lib/errors.js'

/** Says whose a stream is: a user's or tenant's id; for a limit alone also an address. `'public'` makes it anybody's who has its id. */
export type OwnerOption = 'public' | ((request: FastifyRequest) => string | undefined | Promise<string | undefined>)

/** The owner, in a log, of streams that are anybody's. No other has this name. */
export const publicOwner = ''

/** Whether it says whose streams are. */
export function isOwnerOption (option: unknown): option is OwnerOption {
  return option === 'public' || typeof option === 'function'
}

/** Says whose stream it is, for a limit: a public one is nobody's. */
export async function ownerOf (option: OwnerOption | undefined, request: FastifyRequest): Promise<string | undefined> {
  return option === 'public' ? undefined : await option?.(request)
}

/**
 * Says who reads, resumes and cancels.
 * @throws MEDIATOR_ERR_OWNER_MISSING where nobody is signed in: strangers would be one owner
 */
export async function logOwnerOf (option: OwnerOption, request: FastifyRequest): Promise<string> {
  if (option === 'public') return publicOwner
  const owner = await option(request)
  if (owner === undefined) throw new OwnerMissingError()
  if (typeof owner !== 'string' || owner === '') throw new InvalidOptionsError('owner', 'it must return a string that is not empty')
  return owner
}
